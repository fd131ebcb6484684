"""The wire to the client: what arrives and what goes out, as bytes and events, and who may ask."""

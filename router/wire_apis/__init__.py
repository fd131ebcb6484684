"""The APIs by which clients speak to the router beside OpenAI's chat: each is translated to it and back."""

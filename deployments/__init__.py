"""Ray Serve applications, engine replicas and their child servers, and the command line."""

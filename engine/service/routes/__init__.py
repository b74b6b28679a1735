"""The calls of the API, a router for each part; `server.create_app` puts them together."""

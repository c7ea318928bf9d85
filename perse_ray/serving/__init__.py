"""Render service: avatars over HTTP and WebSocket, on Ray Serve or on any ASGI server."""

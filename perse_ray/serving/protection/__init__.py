"""Middlewares between the network and the application: pure ASGI, one idea each, none knows of avatars.

::

    network ─► Measured ─► Authentication ─► RateLimit ─► Admission ─► Deadline ─► BodyLimit ─► application
               counts      who?  401, 403    429          503          504         413
"""

from perse_ray.serving.protection.protection import Protection, protect
from perse_ray.serving.protection.tokens import Tokens, environment_tokens, new_token, read_tokens

__all__ = ["Protection", "Tokens", "environment_tokens", "new_token", "protect", "read_tokens"]

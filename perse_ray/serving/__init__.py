"""The render service: a plain FastAPI application, and a thin Ray Serve shell around it."""

from perse_ray.serving.app import create_app
from perse_ray.serving.library import AvatarLibrary, LoadedAvatar
from perse_ray.serving.requests import RenderRequest

__all__ = ["AvatarLibrary", "LoadedAvatar", "RenderRequest", "create_app"]

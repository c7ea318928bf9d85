"""Client of the render service. Needs httpx, and websockets for streams; nothing else of this project.

::

    from perse_client import AvatarClient

    with AvatarClient("http://127.0.0.1:8000") as client:
        avatar = client.avatars()[0]
        hats = avatar.of("hat")
        picture = client.render(avatar.id, attributes={"hat": {hats[0].id: 1.0}}, camera={"yaw_deg": 20})
        with open("hat.png", "wb") as file:
            file.write(picture)
        strip = [client.render(avatar.id, attributes={"hat": {hats[0].id: step / 8}}) for step in range(9)]

Subjects may be named by words of their prompts (``{"hat": {"teal beanie": 1.0}}``), and attributes described:
``{"hair": described("long red curls")}``. `AvatarClient.stream` is for interactive use.

A render changes nothing on the service, so a request that a dying server dropped is sent once more; so is one that was
refused with 429 or 503 and a short Retry-After. Then the error is raised. A timeout is not repeated: the work may still
be under way, and asking again would double it.
"""

from perse_client.avatars import AvatarDescription, EditSpace, Subject
from perse_client.client import AvatarClient
from perse_client.errors import ServiceError
from perse_client.look import Attributes, Description, Orbit, Pinhole, Term, described
from perse_client.stream import AvatarStream

__all__ = [
    "Attributes",
    "AvatarClient",
    "AvatarDescription",
    "AvatarStream",
    "Description",
    "EditSpace",
    "Orbit",
    "Pinhole",
    "ServiceError",
    "Subject",
    "Term",
    "described",
]

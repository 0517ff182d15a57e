"""The server's routes, which replace MONAI Label's: the same URLs, fields and answers, each checked.

================ =====================================================
`datastore`      images, labels and the information stored with them
`infer`          segmentation of an image of the studies, of a session, or uploaded
`tasks`          training, batches, scoring, the next image
`sessions`       a volume that one annotator loaded
`models`         weights
`others`         log, OHIF's files, the proxy to a DICOMweb server
================ =====================================================
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from medseg_monai.label.server.gate import Gate
from medseg_monai.label.server.routes import datastore, infer, models, others, sessions, tasks


def install(server: Any, max_upload_bytes: int) -> None:
    """Put the routes before MONAI Label's own, which are then never reached; routes not listed here (`/info/`) stay MONAI Label's."""
    if hasattr(server.state, "max_upload_bytes"):
        return
    server.state.max_upload_bytes = max_upload_bytes
    router = APIRouter(route_class=Gate)
    for module in (datastore, infer, tasks, sessions, models, others):
        for method, path, endpoint, role in module.ROUTES:
            # MONAI Label's page of its routes describes them
            router.add_api_route(path, endpoint, methods=[method], dependencies=[role], include_in_schema=False)
    own = len(server.router.routes)
    server.include_router(router)
    server.router.routes[:] = [*server.router.routes[own:], *server.router.routes[:own]]

"""Images that belong to one annotator's session, not to the studies: 3D Slicer makes one for a volume that the user loaded."""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import Sessions

logger = logging.getLogger(__name__)

# the form of MONAI Label's own ids
SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class OwnSessions(Sessions):  # type: ignore[misc]  # MONAI Label has no types
    """MONAI Label's sessions, except that an id is never a path and that a broken session does not affect others.

    MONAI Label joins any id to its folder, and fails at startup if a session is incomplete.
    """

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> Any:
        """The session, or None if it does not exist or has expired."""
        if not SESSION_ID.fullmatch(session_id):
            return None
        try:
            return super().get_session(session_id, update_ts, fetch_cache)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            logger.warning("session %s cannot be read: %s", session_id, error)
            return None

    def remove_expired(self) -> int:
        """Remove expired sessions and the remains of incomplete ones; return their number."""
        ended = 0
        for folder in Path(self.store_path).glob("*/"):
            session = self.get_session(folder.name, update_ts=False, fetch_cache=False)
            if session is None:
                is_new = time.time() - folder.stat().st_mtime < 60  # it may still be in creation
                if not SESSION_ID.fullmatch(folder.name) or is_new:
                    continue
            elif session.expiry <= 0 or session.last_access_ts + session.expiry >= time.time():
                continue
            self.pop(folder.name, None)
            shutil.rmtree(folder, ignore_errors=True)
            ended += 1
        return ended

"""The Chromium of this machine; None without one, or without Playwright to drive it."""

import importlib.util
import shutil

_FOUND = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
CHROMIUM = next(_FOUND, None) if importlib.util.find_spec("playwright") else None

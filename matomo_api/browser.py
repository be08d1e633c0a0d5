"""What a browser can show: by it Matomo recognizes a browser that has no cookies.

matomo.js finds it out and sends it with each page view. Together with address, browser
and language it tells Matomo to which visit a request belongs (docs/matomo.md section
15). Only a script can find it out, so that the tag hands it to the shop.
"""

import json
import re

# Plugins, by the names of Matomo's parameters, and whether the browser has cookies.
FLAGS = ("pdf", "qt", "realp", "wma", "fla", "java", "ag", "cookie")
RESOLUTION = "res"
FEATURES = (*FLAGS, RESOLUTION)
# Of the text in which the tag tells them (bytes). It needs less than half.
MAX_BODY_LENGTH = 256
_RESOLUTION = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")


def parse_features(body: bytes) -> dict[str, str]:
    """Return the features of a browser as the tag tells them, as parameters of Matomo.

    Anybody can send anything. What does not look exactly as the tag sends it counts as
    nothing told.

    :param body: JSON, ``{"pdf": 1, …, "res": "1920x1080"}``. A flag is 0 or 1, one that
        is missing is 0; the resolution may be missing
    :return: all flags, "0" or "1", and perhaps the resolution; empty if nothing is told
    """
    if len(body) > MAX_BODY_LENGTH:
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or not content.keys() <= set(FEATURES):
        return {}
    resolution = content.pop(RESOLUTION, None)
    if not content or any(str(value) not in ("0", "1") for value in content.values()):
        return {}
    features = {name: str(content.get(name, 0)) for name in FLAGS}
    if isinstance(resolution, str) and _RESOLUTION.fullmatch(resolution):
        features[RESOLUTION] = resolution
    return features

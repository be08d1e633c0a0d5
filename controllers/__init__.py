from . import browser
from . import portal
from . import privacy

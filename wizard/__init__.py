from . import account_move_reversal
from . import matomo_backfill
from . import matomo_backfill_line
from . import matomo_connect
from . import matomo_connect_site
from . import matomo_erasure
from . import privacy_lookup_wizard
from . import privacy_lookup_wizard_line

"""Admin of the model layer: one file for each subject, registered by being imported."""

from . import admin_endpoints as admin_endpoints
from . import admin_local as admin_local
from . import admin_order as admin_order
from . import admin_prices as admin_prices
from . import admin_watch as admin_watch

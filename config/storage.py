"""Static files under names that change with their contents, also inside the workbench's modules.

Django rewrites the imports of modules only for all scripts at once, and some that come from packages cannot be
rewritten. Without it a module would be loaded under two names, and a new page could meet old parts.
"""

from __future__ import annotations

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    patterns = (
        *HashedFilesMixin.patterns,
        ("frontend/workbench/*.js", HashedFilesMixin._js_module_import_aggregation_patterns[1]),
    )

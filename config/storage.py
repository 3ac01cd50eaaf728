"""Static files under names that change with their contents, also inside the workbench's modules.

Django rewrites the imports of modules only for all scripts at once, and some that come from packages cannot be
rewritten. Without it a module would be loaded under two names, and a new page could meet old parts.
"""

from __future__ import annotations

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage

# `from "./x.js"` and `import("./x.js")`
IMPORT = r"""(?P<matched>(?P<before>\bfrom\s+|\bimport\()["'](?P<url>\./[^"']+)["'])"""


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # comes without types
    patterns = (*HashedFilesMixin.patterns, ("frontend/workbench/*.js", ((IMPORT, '%(before)s"%(url)s"'),)))

"""How static files get the hash of their content into their names."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class ModuleManifestStaticFilesStorage(ManifestStaticFilesStorage):
    """Also rewrites the addresses in `import … from "./x.js"`: our scripts are ES modules without a build step."""

    support_js_module_import_aggregation = True

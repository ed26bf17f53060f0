"""From a bundle's place to an application: a child process tries the model before this one loads it."""

from server.apart import Apart
from server.application import Application, Prepared, assemble, prepare
from server.bundle import Files
from server.errors import raise_gathered
from server.memory import free_memory
from server.settings import Settings
from server.sources.fetching import read


def launch(settings: Settings) -> Application:
    """Make the application of the settings' bundle; raise `BundleError` for one that cannot be served."""
    return assemble(settings, tried(settings, read(settings)))


def tried(settings: Settings, files: Files) -> Prepared:
    """Prepare a bundle that a child process has prepared before; raise `BundleError` with all that is wrong."""
    raise_gathered(trial(settings, files).wait())
    return prepare(settings, files)


def trial(settings: Settings, files: Files) -> Apart:
    """Begin to try a bundle in a child process."""
    memory = settings.trial_memory or free_memory()
    return Apart(lambda: prepare(settings, files), memory=memory, seconds=settings.trial_timeout)

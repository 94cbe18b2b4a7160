"""`package.module:attribute`: the operator's own code, a Twisted Web resource or a WSGI application."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.web.resource import IResource

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place


def find_resource(name: str, place: Place) -> Any:
    """Import a module and look up an attribute in it: an `IResource`, or a callable that makes one.

    Args:
        name: `package.module:attribute`; dots may follow the attribute, too.
        place: Of the site, for errors.

    Raises:
        OperatorError: the module can't be imported, has no such attribute, or that is nothing to serve.
    """
    found = _find(name, "resource", place)
    if not (IResource.providedBy(found) or callable(found)):
        raise _no_resource(place, f"{name} is of type {type(found).__name__}")
    return found


def make_resource(name: str, place: Place) -> IResource:
    """Return the resource itself, made by the callable where there is one.

    Raises:
        OperatorError: as `find_resource`, or what the callable made is no resource.
    """
    found = find_resource(name, place)
    # A class of resources is not a resource itself, though it says what its instances provide.
    if IResource.providedBy(found):
        return found
    try:
        made = found()
    except (Exception, SystemExit) as error:
        raise place.error("resource", f"{name} raised {_says(error)}", "mend it there") from error
    if not IResource.providedBy(made):
        raise _no_resource(place, f"{name} made something of type {type(made).__name__}")
    return made


def find_wsgi(name: str, place: Place) -> Callable[..., Any]:
    """Import a module and look up a WSGI application (PEP 3333) in it.

    Raises:
        OperatorError: the module can't be imported, has no such attribute, or that can't be called.
    """
    found = _find(name, "wsgi", place)
    if not callable(found):
        problem = f"{name} is of type {type(found).__name__}"
        raise place.error("wsgi", problem, "name what is called with an environment and start_response")
    application: Callable[..., Any] = found
    return application


def _find(name: str, key: str, place: Place) -> Any:
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a script that ends itself would end the server, without a word
        raise place.error(key, f"{module_name} can't be imported: {_says(error)}", _advice(error)) from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise place.error(key, f"{module_name} has no {path}", "check the name after the colon") from error
    return found


def _no_resource(place: Place, problem: str) -> OperatorError:
    return place.error("resource", problem, "give a twisted.web.resource.IResource, or a callable that makes one")


def _says(error: BaseException) -> str:
    """Name an error of somebody else's code, and the innermost line that it came from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = "" if _is_of_import(last.filename) else f" ({Path(last.filename).name} line {last.lineno})"
    return f"{type(error).__name__}: {str(error)[:300]}{place}"


def _is_of_import(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == importlib.__file__


def _advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install it where twistd runs, or put its directory into PYTHONPATH"
    return "mend it there"

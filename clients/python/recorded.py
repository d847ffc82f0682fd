"""Clients that remember which of their methods were called, and what came of it.

A method counts as answered once it returned, or was refused for a reason of the service's; the checks of what it gave
end the program if they fail.
`refuse_the_rest` calls every public method that nobody has called yet, and accepts nothing but the answer
of a service that does not model it. So a method that begins to be answered has to be checked, or the program fails.
"""

import inspect
import io
import re

from azure.devops.exceptions import AzureDevOpsServiceError

PROJECT = "shop"
ANSWERED = "answered"
NOT_MODELLED = "501"
NOT_OFFERED = "not offered"
NOT_IMPLEMENTED = "NotImplementedException"


def equal(found, expected, what):
    """Ends the program unless both are the same."""
    assert found == expected, f"{what}: {found!r}, not {expected!r}"


class Recorded:
    """A client whose calls are remembered."""

    def __init__(self, api, client):
        self._api = api
        self._client = client
        self._outcomes = {}

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **named):
            try:
                answer = method(*arguments, **named)
            except AzureDevOpsServiceError as error:
                # An answer, too, for the caller to look at, unless it says that nothing is modelled.
                if error.type_key != NOT_IMPLEMENTED:
                    self._outcomes[name] = ANSWERED
                raise
            self._outcomes[name] = ANSWERED
            return answer

        return call

    def refuse(self, name, /, *arguments, **named):
        """Calls a method that the service does not model, and checks that it says so."""
        self._outcomes[name] = _refusal(f"{self._api}.{name}", getattr(self._client, name), arguments, named)

    def refuse_the_rest(self):
        """Calls every method that was not called yet, and tells of all that are not refused."""
        wrong = []
        for name, method in inspect.getmembers(type(self._client), inspect.isfunction):
            if name.startswith("_") or name in self._outcomes or not _is_a_call(method):
                continue
            try:
                self.refuse(name, **_arguments(method))
            except AssertionError as error:
                wrong.append(str(error))
        assert not wrong, "\n".join(wrong)

    def report(self):
        """One line a method, as scripts/clients reads them."""
        for name, outcome in sorted(self._outcomes.items()):
            print("call", self._api, name, outcome, sep="\t")


def _refusal(name, method, arguments, named):
    try:
        answer = method(*arguments, **named)
        # Downloads are asked for only once somebody reads them.
        if inspect.isgenerator(answer):
            answer = b"".join(answer)
    except AzureDevOpsServiceError as error:
        equal(error.type_key, NOT_IMPLEMENTED, f"{name}: {error}")
        assert str(error).endswith("is not modelled by Poolproof."), f"{name}: {error}"
        return NOT_MODELLED
    except ValueError as error:
        # The client looks a call's address up in the service's list, and asks nothing if it is not there.
        assert re.search("API resource location .* is not registered", str(error)), f"{name}: {error}"
        return NOT_OFFERED
    raise AssertionError(f"{name} is answered, and nothing checks the answer: {answer!r}")


def _is_a_call(method):
    """Whether it is one of the service's calls, and no helper of the client's."""
    return "self._send(" in inspect.getsource(method)


def _arguments(method):
    """Something for each argument that a method needs, by what its documentation says of it."""
    documentation = inspect.getdoc(method) or ""
    made = {}
    for name, parameter in inspect.signature(method).parameters.items():
        is_needed = parameter.default is inspect.Parameter.empty
        if name == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD or not is_needed:
            continue
        kind = re.search(rf":param (.*?) ?{name}:", documentation)
        made[name] = PROJECT if name in ("project", "project_id") else _something(kind.group(1))
    return made


def _something(kind):
    if kind.startswith("["):
        return []
    if kind.startswith(":class:"):
        return [] if "<[" in kind else {}
    return {"int": 1, "bool": True, "object": io.BytesIO(b"")}.get(kind, "1")

"""The Dags that `next` and `simulate` are asked about, read from files and checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tradewind.api.dag import Dag
from tradewind.api.pool import Pool
from tradewind.cli.documents import read_documents
from tradewind.cli.errors import CliError
from tradewind.cli.inputs import check_documents
from tradewind.cli.variables import GivenVariables, check_variables, read_variables

F = TypeVar("F", bound=Callable[..., Any])
_NEXT_LINE = "\n       "


@dataclass(frozen=True, slots=True)
class DagFiles:
    """The Dags by name, in the order of the files, and the Pools and variables that came with them."""

    dags: dict[str, Dag]
    pools: list[Pool]
    variables: GivenVariables


def dag_file_options(command: F) -> F:
    """`-f` and `--dag`, for commands that need no cluster."""
    name = click.option("--dag", "dag_name", metavar="NAME", help="Only this Dag, where the files have several.")
    files = click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        required=True,
        type=click.Path(),
        metavar="FILE",
        help="A YAML file, a folder of them, or - for standard input; may be repeated.",
    )
    return files(name(command))


def read_dag_files(files: Sequence[str], dag_name: str | None, variables: Sequence[str] = ()) -> DagFiles:
    """Read and check them; what only a cluster needs (an image) may be missing. `variables` are those of `--var`.

    Raises CliError that lists everything wrong, with file and line.
    """
    documents, unreadable = read_documents(files)
    if unreadable:
        raise CliError(_NEXT_LINE.join(unreadable))
    dags = [document for document in documents if document.kind == "Dag" and dag_name in (None, document.name)]
    others = [document for document in documents if document.kind != "Dag"]
    given, findings = read_variables(others, variables)
    findings = [
        *check_documents([*dags, *others], on_cluster=False),
        *findings,
        *check_variables([*dags, *others], given),
    ]
    if findings:
        raise CliError(_NEXT_LINE.join(map(str, findings)))
    if not dags:
        raise CliError(f"there is no Dag {f'{dag_name!r} ' if dag_name else ''}in {', '.join(files)}")
    found: dict[str, Dag] = {}
    for document in dags:
        if document.name in found:
            where = f"{document.file}:{document.line_of('metadata.name')}"
            raise CliError(f"{where}: there are two Dags {document.name!r}, in different namespaces")
        found[document.name] = Dag.model_validate(document.manifest)
    pools = [Pool.model_validate(document.manifest) for document in others if document.kind == "Pool"]
    return DagFiles(found, pools, given)

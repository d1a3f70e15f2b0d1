"""The Dags of `run`, `next` and `simulate`, read from files and validated."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from tradewind.api.dag import Dag
from tradewind.api.dagrun import DagRun
from tradewind.api.pool import Pool
from tradewind.cli.documents import Document, read_documents
from tradewind.cli.errors import NEXT_LINE, CliError
from tradewind.cli.inputs import check_documents, is_ours
from tradewind.cli.variables import GivenVariables, check_variables, read_variables


@dataclass(frozen=True, slots=True)
class DagFiles:
    """The Dags by name, in the order of the files, and the other objects in the files."""

    dags: dict[str, Dag]
    pools: list[Pool]
    variables: GivenVariables
    runs: list[DagRun] = field(default_factory=list)
    """The DagRuns of these Dags."""
    documents: dict[str, Document] = field(default_factory=dict)
    """The document of each Dag, by name."""
    others: list[Document] = field(default_factory=list)
    """All documents that are not Dags."""


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Files as arguments or with `-f`, and `-R`. The command gets `files` and `recursive`."""

    @functools.wraps(command)
    def with_files(*args: Any, files: tuple[str, ...], filenames: tuple[str, ...], **options: Any) -> Any:
        if not files and not filenames:
            raise click.UsageError(
                "Missing argument 'FILE...': a YAML file, a folder of YAML files, or - for standard input."
            )
        return command(*args, files=(*files, *filenames), **options)

    argument = click.argument("files", nargs=-1, type=click.Path(), metavar="FILE...")
    option = click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="Same as FILE: a YAML file, a folder of YAML files, or - for standard input. Can be repeated.",
    )
    recursive = click.option("-R", "--recursive", is_flag=True, help="Read subfolders, too.")
    return argument(option(recursive(with_files)))


def dag_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Files and `--dag`, for commands that need no cluster."""
    name = click.option("--dag", "dag_name", metavar="NAME", help="Use only this Dag, if the files have several.")
    return file_options(name(command))


def read_dag_files(
    files: Sequence[str], dag_name: str | None, variables: Sequence[str] = (), *, recursive: bool = False
) -> DagFiles:
    """Read and validate the files. Fields that only a cluster needs (an image) may be missing.

    `variables` are the values of `--var`. Raises CliError that lists all problems, with file and line.
    """
    documents, unreadable = read_documents(files, recursive=recursive)
    if unreadable:
        raise CliError(NEXT_LINE.join(unreadable))
    dags = [document for document in documents if document.kind == "Dag" and dag_name in (None, document.name)]
    others = [document for document in documents if document.kind != "Dag" and _is_about(document, dag_name)]
    given, findings = read_variables(others, variables)
    findings = [
        *check_documents([*dags, *others], on_cluster=False),
        *findings,
        *check_variables([*dags, *others], given),
    ]
    if findings:
        raise CliError(NEXT_LINE.join(map(str, findings)))
    if not dags:
        raise CliError(f"no Dag {f'named {dag_name!r} ' if dag_name else ''}in {', '.join(files)}")
    found: dict[str, Document] = {}
    for document in dags:
        if document.name in found:
            where = f"{document.file}:{document.line_of('metadata.name')}"
            raise CliError(f"{where}: two Dags are named {document.name!r}, in different namespaces")
        found[document.name] = document
    ours = [document for document in others if is_ours(document)]
    return DagFiles(
        dags={name: Dag.model_validate(document.manifest) for name, document in found.items()},
        pools=[Pool.model_validate(document.manifest) for document in ours if document.kind == "Pool"],
        variables=given,
        runs=_runs([document for document in ours if document.kind == "DagRun"], found),
        documents=found,
        others=others,
    )


def _is_about(document: Document, dag_name: str | None) -> bool:
    """False for a DagRun or Backfill of another Dag than the chosen one."""
    if dag_name is None or document.kind not in ("DagRun", "Backfill"):
        return True
    spec = document.manifest.get("spec")
    return not isinstance(spec, dict) or spec.get("dag") == dag_name


def _runs(documents: Sequence[Document], dags: dict[str, Document]) -> list[DagRun]:
    runs = [DagRun.model_validate(document.manifest) for document in documents]
    for document, run in zip(documents, runs, strict=True):
        if run.spec.dag not in dags:
            where = f"{document.file}:{document.line_of('spec.dag')}"
            raise CliError(f"{where}: DagRun {document.name}: Dag {run.spec.dag!r} is not in the files")
    return runs

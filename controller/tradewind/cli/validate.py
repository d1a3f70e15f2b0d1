"""`tradewind validate`: all problems of Dag files, without a cluster."""

from dataclasses import asdict, dataclass

import click

from tradewind.cli.colours import paint
from tradewind.cli.dag_files import file_options
from tradewind.cli.documents import read_documents
from tradewind.cli.errors import EXIT_BAD_INPUT, CliError
from tradewind.cli.inputs import Finding, check_documents, is_ours
from tradewind.cli.output import Format, output_option, print_data
from tradewind.cli.variables import check_variables, read_variables, variables_option


@dataclass(frozen=True, slots=True)
class _Row:
    file: str
    line: int
    kind: str
    name: str
    reason: str
    field: str
    message: str


@click.command()
@file_options
@variables_option
@output_option("table", "json", "yaml")
@click.pass_context
def validate(
    context: click.Context, files: tuple[str, ...], recursive: bool, variables: tuple[str, ...], output: Format
) -> None:
    """Check Dag files and list all problems.

    FILE is a YAML file, a folder of YAML files, or - for standard input. Dags, DagRuns, Pools and Backfills are checked
    as the cluster checks them. A DagRun or Backfill must be valid for its Dag if that is in the files. ConfigMaps are
    checked if they are labelled as variables; other kinds are ignored. Exits 2 if there are problems.
    """
    documents, unreadable = read_documents(files, recursive=recursive)
    given, findings = read_variables(documents, variables)
    findings = [*check_documents(documents), *findings, *check_variables(documents, given)]
    checked = [document for document in documents if is_ours(document)]
    wrong = bool(unreadable or findings)
    if output != "table":
        print_data(
            {
                "valid": not wrong,
                "problems": [*({"message": text} for text in unreadable), *(asdict(_row(each)) for each in findings)],
            },
            output,
        )
    elif wrong:
        for text in unreadable:
            click.echo(f"{paint('error', 'red')}  {text}")
        for finding in findings:
            click.echo(f"{paint('error', 'red')}  {finding}")
    elif not checked:
        raise CliError(f"nothing to check: no Dag, DagRun, Pool or Backfill in {', '.join(files)}")
    else:
        for document in checked:
            click.echo(f"{paint('ok', 'green')}  {document.file}: {document.kind} {document.name}")
    if wrong:
        context.exit(EXIT_BAD_INPUT)


def _row(finding: Finding) -> _Row:
    document, problem = finding.document, finding.problem
    return _Row(
        file=document.file,
        line=document.line_of(problem.field),
        kind=document.kind,
        name=document.name,
        reason=problem.reason,
        field=problem.field,
        message=problem.message,
    )

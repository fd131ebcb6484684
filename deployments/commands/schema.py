import click

from configs.schema import SCHEMA_FILE, schema_text


@click.command()
@click.option("--write", is_flag=True, help="Write it where the files in configs/ look for it, instead of printing it.")
def schema(*, write: bool) -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    if write:
        SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
        click.echo(f"wrote {SCHEMA_FILE}")
    else:
        click.echo(schema_text(), nl=False)

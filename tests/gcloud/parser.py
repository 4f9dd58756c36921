"""Parse commands with gcloud's own parser, without running them. A script for the Python of gcloud.

Reads a JSON list of commands without their first word, and writes a JSON list of errors, "" for a valid command. The
commands go through the parser of the CLI; their filters and formats go through the code that a run uses. Any network
connection is an error.
"""

import contextlib
import io
import json
import socket
import sys


def refuse_connection(*_: object, **__: object) -> None:
    raise RuntimeError("the parser tried to open a network connection")


def parse_error(parser: object, command: list[str]) -> str:
    from googlecloudsdk.core import log
    from googlecloudsdk.core.resource import (
        resource_filter,
        resource_lex,
        resource_projection_parser,
        resource_transform,
    )

    output = io.StringIO()
    log.Reset(output, output)
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            arguments = parser.parse_args(command)
            if arguments.CONCEPT_ARGS is not None:
                arguments.CONCEPT_ARGS.ParseConcepts()
            values = vars(arguments)
            if values.get("filter"):
                resource_filter.Compile(values["filter"])
            if values.get("format"):
                resource_projection_parser.Parse(values["format"], symbols=resource_transform.GetTransforms())
            for key in values.get("flatten") or ():
                resource_lex.Lexer(key).Key()
    except SystemExit as end:
        return f"exit code {end.code}: {output.getvalue()}".strip()
    except Exception as error:  # gcloud raises many types
        return f"{type(error).__name__}: {error}"
    return ""


def main(library: str) -> None:
    sys.path[:0] = [library, f"{library}/third_party"]
    socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse_connection
    import gcloud

    gcloud._fix_google_module()
    from googlecloudsdk import gcloud_main

    commands = json.load(sys.stdin)
    parser = gcloud_main.CreateCLI([])._CLI__parser
    json.dump([parse_error(parser, command) for command in commands], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

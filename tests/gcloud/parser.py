"""What gcloud itself says to commands, without running them. gcloud's own Python runs this; nothing else imports it.

Reads a JSON list of commands without their first word, and writes a list of complaints, empty where it has none. The
commands go through the parser of Google's CLI, and their filters and formats through the same code as in a run. A
connection that something tries to open is an error: nothing leaves this machine.
"""

import contextlib
import io
import json
import socket
import sys


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("a network connection was tried")


def complaint(parser: object, command: list[str]) -> str:
    from googlecloudsdk.core import log
    from googlecloudsdk.core.resource import resource_filter, resource_lex, resource_projection_parser

    said = io.StringIO()
    log.Reset(said, said)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            arguments = parser.parse_args(command)
            if arguments.CONCEPT_ARGS is not None:
                arguments.CONCEPT_ARGS.ParseConcepts()
            given = vars(arguments)
            if given.get("filter"):
                resource_filter.Compile(given["filter"])
            if given.get("format"):
                resource_projection_parser.Parse(given["format"])
            for key in given.get("flatten") or ():
                resource_lex.Lexer(key).Key()
    except SystemExit as end:
        return f"exit code {end.code}: {said.getvalue()}".strip()
    except Exception as error:  # of any kind, since gcloud has many
        return f"{type(error).__name__}: {error}"
    return ""


def main(library: str) -> None:
    sys.path[:0] = [library, f"{library}/third_party"]
    socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
    import gcloud

    gcloud._fix_google_module()
    from googlecloudsdk import gcloud_main

    commands = json.load(sys.stdin)
    parser = gcloud_main.CreateCLI([])._CLI__parser
    json.dump([complaint(parser, command) for command in commands], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

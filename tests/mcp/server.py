#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The MCP server of the tests. Without a port it is a child process that uses stdin and stdout.

    server.py --name one                     stdio
    server.py --http 8080 --sse              streamable HTTP on /mcp, and HTTP+SSE on /sse
"""
import argparse
import sys

import core
import faults
import lists
import tools
from loop import Loop


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="one", help="says who it is in all it says")
    parser.add_argument("--journal", default="", help="file that gets a line for each message and event")
    parser.add_argument("--raw", action="store_true", help="lines go to the journal as they came, too")
    parser.add_argument("--versions", default="", help="protocol versions it knows, the best first")
    parser.add_argument("--page", type=int, default=0, help="entries on a page of a list")
    parser.add_argument("--only", default="", help="the only tools that are listed")
    parser.add_argument("--extra", type=int, default=0, help="so many more tools")
    parser.add_argument("--bare", action="store_true", help="nothing but tools")
    parser.add_argument("--start", default="", help="die[:STATUS], slow:SECONDS, hang, garbage, close, wrong")
    parser.add_argument("--deaf", action="store_true", help="neither SIGTERM nor the end of stdin ends it")
    parser.add_argument("--http", type=int, default=0, help="port of 127.0.0.1 instead of stdio")
    parser.add_argument("--sse", action="store_true", help="with --http: the old transport, too")
    parser.add_argument("--json", action="store_true", help="with --http: JSON where that is possible")
    parser.add_argument("--no-sessions", action="store_true", help="with --http: no Mcp-Session-Id")
    parser.add_argument("--no-get", action="store_true", help="with --http: GET gives 405")
    parser.add_argument("--resume", action="store_true", help="with --http: events have ids, streams resume")
    return parser.parse_args(argv)


def main():
    options = parse(sys.argv[1:])
    server = core.Server(options, Loop())
    for part in (lists, tools, faults):
        part.install(server)
    if options.http:
        import web
        web.serve(server)
    else:
        import stdio
        stdio.serve(server)


if __name__ == "__main__":
    main()

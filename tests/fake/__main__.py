"""The command line: start, print one JSON line with the addresses, serve until stopped."""

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import threading

from fake import control
from fake.server import Server


def _address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="fake", description="A GitHub on loopback addresses.")
    parser.add_argument("--api", type=_address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--storage", type=_address, default=("127.0.0.2", 0), metavar="HOST:PORT")
    parser.add_argument("--store", type=_address, default=("127.0.0.3", 0), metavar="HOST:PORT")
    parser.add_argument("--logs", metavar="DIR", help="each file becomes a job of octo/logs")
    parser.add_argument("--token", default="fake-token")
    parser.add_argument("--ghes", action="store_true", help="API under /api/v3, storage beside it")
    parser.add_argument("--lifetime", type=float, default=60.0, metavar="SEC",
                        help="how long a signed URL is good")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"),
                        help="all but control over https, with this certificate (PEM)")
    parser.add_argument("--control", metavar="FILE", help="a JSON list of control operations")
    parser.add_argument("--bulk", metavar="REPO,RUNS,JOBS,SIZE", help="that many made-up logs")
    parser.add_argument("--api-ms", type=float, default=0, help="latency of each API answer")
    parser.add_argument("--storage-ms", type=float, default=0, help="of each storage answer")
    parser.add_argument("--stay", action="store_true", help="go on when stdin closes")
    return parser.parse_args(arguments)


def _prepare(server, options):
    operations = [{"op": "latency", "api_ms": options.api_ms, "storage_ms": options.storage_ms}]
    if options.logs:
        operations.append({"op": "add_folder", "folder": options.logs})
    if options.bulk:
        repo, runs, jobs, size = options.bulk.split(",")
        operations.append({"op": "bulk", "repo": repo, "runs": int(runs), "jobs": int(jobs),
                           "size": int(size)})
    if options.control:
        with open(options.control, encoding="utf-8") as file:
            operations += json.load(file)
    for one in operations:
        control.run_op(server, dict(one))


def _watch_stdin(loop, stop):
    """A thread, because stdin may be a file or a terminal, which cannot be polled."""
    def wait():
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)
    threading.Thread(target=wait, daemon=True).start()


async def _serve(options):
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(options.api, options.storage, options.token, options.ghes, options.lifetime,
                    options.tls, options.store)
    _prepare(server, options)
    print(json.dumps(server.start()), flush=True)
    if not options.stay:
        _watch_stdin(loop, stop)
    await stop.wait()
    await server.stop()


def _raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments=None):
    _raise_file_limit()
    asyncio.run(_serve(_parse(arguments)))
    sys.stdout.flush()
    os._exit(0)                 # not to wait for the thread that reads stdin


if __name__ == "__main__":
    main()

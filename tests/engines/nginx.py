"""nginx with WebDAV: HTTP PUT and GET with users and passwords; or the site that it is given."""

import pathlib
import secrets

PORT = 8080

# One process that does not change its user: without a master there is nobody else to end.
CONFIG = """
daemon off;
master_process off;
error_log stderr;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""

SITE = """
    default_type application/octet-stream;
    server {{
        listen {address}:{port};
        root {folder}/files;
        auth_basic logs;
        auth_basic_user_file {folder}/readers;
        location / {{
            dav_methods PUT;
            create_full_put_path on;
            client_max_body_size 0;
            limit_except GET {{
                auth_basic logs;
                auth_basic_user_file {folder}/writers;
            }}
        }}
    }}
"""


def start(programs, folder, address, site=None, listens=None):
    """`site`: a file with a server of its own, which listens on `listens`, "ADDRESS:PORT"."""
    if site:
        serve(programs, folder, pathlib.Path(site).read_text(), *listens.split(":"))
        return {"access_log": str(folder / "access.log")}
    writer, reader = ("writer", secrets.token_hex(12)), ("reader", secrets.token_hex(12))
    (folder / "files").mkdir()
    (folder / "writers").write_text("%s:{PLAIN}%s\n" % writer)
    (folder / "readers").write_text("%s:{PLAIN}%s\n%s:{PLAIN}%s\n" % (*writer, *reader))
    serve(programs, folder, SITE.format(folder=folder, address=address, port=PORT), address, PORT)
    return {"url": "http://%s:%d/logs" % (address, PORT), "writer": writer, "reader": reader,
            "root": str(folder / "files" / "logs"), "access_log": str(folder / "access.log")}


def serve(programs, folder, site, address, port):
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, site=site))
    programs.serve("nginx", "-e", "stderr", "-p", folder, "-c", config)
    programs.wait_for_port(address, int(port))

"""A GitHub on loopback addresses, for tests and benchmarks of a reader of Actions job logs.

Start it:
    PYTHONPATH=tests python3 -m fake [--bulk octo/hello,25,4,500000] [--api-ms 50 --storage-ms 30]
    tests/fake/server.py                          the same
    with fake.FakeGitHub() as github: ...         from a test; a process of its own

Over TLS: --tls CERT KEY, or FakeGitHub(tls=(cert, key)), both PEM files; `certificates` makes them:
    authority = Authority(folder)       # its own certificate is authority.ca
    with fake.FakeGitHub(tls=authority.issue("good")) as github: ...
API, storage and store are then https, control stays http, and bodies go out without sendfile.

It prints one JSON line: {"api", "storage", "store", "root", "control", "token", "pid"}, and ends
when its stdin closes (not with --stay) or at SIGTERM. The API listens on 127.0.0.1, storage on
127.0.0.2, control on a further port of the API's address (and under /_control of the API itself).
On 127.0.0.3 is a shared store, S3 or plain HTTP, without objects or identities at first.

    curl -LH "Authorization: Bearer fake-token" $api/repos/octo/hello/actions/jobs/30000000001/logs

Modules:
    server    HTTP/1.1, the access log                 message   requests, answers, sending plans
    connection  an accepted socket                     tls       the same, spoken over TLS
    api       REST routes, rights, limits, ETags       shapes    JSON bodies by the OpenAPI schemas
    limits    primary and secondary rate limits        storage   signed URLs, ranges
    world     repositories, runs, jobs, logs           content   made-up logs, any byte checkable
    faults    what can go wrong, and when              control   the operations a test can ask for
    client    FakeGitHub                               asking    how tests ask; schema: a validator
    archives  the zip of a run's logs                store     a shared store: S3, HTTP with PUT
    sigv4     signatures of requests to S3
    certificates  an authority, and what it certifies (needs the openssl command)

Control operations, {"op": NAME, ...} (the table is in control.py, the arguments in world.py):
    token value login sees logs pulls   add_repo repo private renamed_from archived pushed_at ...
    remove_token, owner login type      rename_repo repo to, remove_repo repo
    add_workflow repo file name         add_run repo id file workflow branch head_repo event status
    set_run run status conclusion           conclusion attempts carried actor created_at
                                            path ...
    remove_run run                          (head_repo "": the fork was deleted)
    add_pull repo number branch head_repo sha state title      set_pull repo number sha state
    index repo state: "stale", "empty" or "fresh", what filtered lists are made of
    set_job job status log form ...     add_job run id attempt name status conclusion steps log form
                                            runner
    archive run clean steps ... (see archives.py: how the run's archive is made)
    make_archives repo (now, not when they are asked for; returns their bytes)
    grow job log                        complete_job job conclusion completed_at form
    bulk repo runs jobs size form ...   add_folder folder repo
    latency api_ms storage_ms store_ms  bandwidth rate hop (bytes/s of each connection)
    rate_limit limit remaining reset status token      secondary per_minute concurrent retry_after
    lifetime seconds, expire_urls       clock skew, auth_status status
    fault kind ... (see faults.py), clear_faults
    certificate hop cert key (for new connections, over TLS only)
    refuse hop seconds drop, block hop, accept hop, drop hop      clear_log, now
    store_setup mode identities readers lists conditions region clock (see store.py)
    store_put path log, store_get path, store_remove path, store_list

A log is {"size": N} (made up, see content.py), {"file": PATH}, {"text": BASE64}, or "none",
"missing" (storage answers 404), "expired" (API 410), "deleted" (API 404). A form is block, append,
append-sealed, legacy, legacy-close (no length, no ranges) or legacy-length (no ranges).

The access log has for each request: t, t_end (CLOCK_MONOTONIC), hop, method, path, query (names),
target, range, status, bytes (of body, sent), aborted, had_authorization, authorization_known,
user_agent, if_none_match, connection, charged, job, fault (its id), headers. The counters have for
each hop also what a client can do without a request: handshakes good, bad and resumed, and the
protocols these chose (h2 is offered first, as GitHub does, and not spoken).

`gh` works with GH_HOST=github.localhost GH_TOKEN=fake-token HTTP_PROXY=$root: it then asks for
http://api.github.localhost/..., which the server takes in the form that proxies get.
"""

from fake.client import FakeError, FakeGitHub

__all__ = ["FakeError", "FakeGitHub"]

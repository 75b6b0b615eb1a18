# fish completion for ghlogfs. Installed in fish/vendor_completions.d.

# The options of src/options.c; a = stands behind those with a value.
function __ghlogfs_options
    printf '%s\n' \
        api_url=\t'base of the API' \
        token_file=\t'file with the token' \
        ca_file=\t'certificate authorities' \
        proxy=\t'proxy, empty for none' \
        no_proxy=\t'hosts reached without the proxy' \
        connections=\t'transfers at once' \
        reserve=\t'requests that fetching ahead leaves untouched' \
        wait=\t'how long a reader waits for quota' \
        timeout=\t'limit for connecting and for stalled transfers' \
        deadline=\t'how long a reader waits without progress' \
        cache_dir=\t'where logs are kept' \
        cache_size=\t'how much is kept on disk' \
        no_cache\t'keep nothing on disk' \
        memory=\t'logs held in memory' \
        offline\t'only what is cached' \
        shared=\t'URL of the shared store' \
        shared_write\t'also store there what is fetched' \
        shared_key_file=\t'key of the shared store' \
        shared_verify=\t'logs from there that are compared, per cent' \
        shared_trust=\t'show what GitHub no longer knows, too' \
        runs=\t'runs in a listing' \
        fresh=\t'age at which a listing is asked for again' \
        archive_jobs=\t'missing logs of a run that are worth its archive' \
        prefetch=\t'logs fetched ahead of a recursive reader' \
        timestamps\t'keep timestamps in cleaned text' \
        foreground\t'stay in the foreground' \
        debug\t'debug output, in the foreground' \
        allow_other\t'let other users in' \
        allow_root\t'let root in' \
        auto_unmount\t'unmount when the program ends' \
        fsname=\t'name in the table of mounts' \
        subtype=\t'type in the table of mounts' \
        noexec\t'no program is run from the mount' \
        exec\t'the opposite of noexec' \
        noatime\t'leave times of access alone' \
        atime\t'the opposite of noatime'
end

complete -c ghlogfs -f
complete -c ghlogfs -s o -x -d 'mount options' -a '(__fish_append , (__ghlogfs_options))'
complete -c ghlogfs -s f -d 'stay in the foreground'
complete -c ghlogfs -s d -d 'debug output, in the foreground'
complete -c ghlogfs -s h -l help -d 'show the options'
complete -c ghlogfs -s V -l version -d 'show the version'
complete -c ghlogfs -l check -d 'check what a mount needs'
complete -c ghlogfs -l repair -d 'with --check, delete damaged entries of the cache'
complete -c ghlogfs -l json -d 'with --check, print JSON'
for option in (__ghlogfs_options)
    set -l parts (string split -m 1 \t -- $option)
    set -l name (string replace = '' -- $parts[1])
    switch $parts[1]
        case token_file= ca_file= shared_key_file=
            complete -c ghlogfs -l $name -r -F -d $parts[2]
        case cache_dir=
            complete -c ghlogfs -l $name -x -a '(__fish_complete_directories)' -d $parts[2]
        case '*='
            complete -c ghlogfs -l $name -x -d $parts[2]
        case '*'
            complete -c ghlogfs -l $name -d $parts[2]
    end
end
complete -c ghlogfs -n __fish_is_first_arg -a github.com -d 'host'
complete -c ghlogfs -a '(__fish_complete_directories)'

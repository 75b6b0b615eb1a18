# fish completion for ghlogfs. Installed in fish/vendor_completions.d.

function __ghlogfs_options
    printf '%s\n' \
        api_url=\t'base of the API' \
        token_file=\t'file with the token' \
        ca_file=\t'certificate authorities' \
        proxy=\t'proxy, empty for none' \
        cache_dir=\t'where logs are kept' \
        cache_size=\t'how much is kept on disk' \
        no_cache\t'keep nothing on disk' \
        memory=\t'logs held in memory' \
        runs=\t'runs in a listing' \
        fresh=\t'age at which a listing is asked for again' \
        connections=\t'transfers at once' \
        prefetch=\t'logs fetched ahead of a recursive reader' \
        reserve=\t'requests that fetching ahead leaves untouched' \
        wait=\t'how long a reader waits for quota' \
        timeout=\t'limit for connecting and for stalled transfers' \
        deadline=\t'how long a reader waits without progress' \
        offline\t'only what is cached' \
        timestamps\t'keep timestamps in cleaned text' \
        allow_other\t'let other users in' \
        allow_root\t'let root in' \
        auto_unmount\t'unmount when the program ends' \
        fsname=\t'name in the table of mounts' \
        noatime noexec
end

complete -c ghlogfs -f
complete -c ghlogfs -s o -x -d 'mount options' -a '(__fish_append , (__ghlogfs_options))'
complete -c ghlogfs -s f -d 'stay in the foreground'
complete -c ghlogfs -s d -d 'debug output, in the foreground'
complete -c ghlogfs -s h -l help -d 'show the options'
complete -c ghlogfs -s V -l version -d 'show the version'
complete -c ghlogfs -n __fish_is_first_arg -a github.com -d 'host'
complete -c ghlogfs -a '(__fish_complete_directories)'

# bash completion for ghlogfs. Installed as share/bash-completion/completions/ghlogfs.

# The options of src/options.c; a = stands behind those with a value.
_ghlogfs_options="api_url= token_file= ca_file= proxy= no_proxy= connections= reserve= wait=
    timeout= deadline= cache_dir= cache_size= no_cache memory= offline shared= shared_write
    shared_key_file= shared_verify= shared_trust= runs= fresh= prefetch= archive_jobs= timestamps
    foreground debug allow_other allow_root auto_unmount fsname= subtype= noexec exec noatime atime"

# Completes the value of an option, or files where the value is none of ours.
_ghlogfs_value()
{
    local name=${1//-/_} value=$2 before=$3
    case $name in
    cache_dir) mapfile -t COMPREPLY < <(compgen -P "$before" -d -- "$value") ;;
    token_file | ca_file | shared_key_file)
        mapfile -t COMPREPLY < <(compgen -P "$before" -f -- "$value") ;;
    cache_size) mapfile -t COMPREPLY < <(compgen -P "$before" -W "1G 4G 16G" -- "$value") ;;
    memory) mapfile -t COMPREPLY < <(compgen -P "$before" -W "64M 256M 1G" -- "$value") ;;
    *) COMPREPLY=() ;;
    esac
    compopt -o filenames 2>/dev/null
}

_ghlogfs()
{
    local line=${COMP_LINE:0:COMP_POINT}
    # The word as typed: bash cuts words at = as well.
    local word=${line##*[[:space:]]} before last
    local previous=${COMP_WORDS[COMP_CWORD - 1]} cut="" name
    name=${previous#--}
    name=${name//-/_}

    if [[ $line =~ [[:space:]]-o[[:space:]]*[^[:space:]]*$ ]]; then
        word=${word#-o}
        last=${word##*,}
        before=${word%"$last"}
        # What stands before the last = is a word of its own to readline.
        [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && cut=${word%=*}=
        compopt -o nospace
        if [[ $last == *=* ]]; then
            _ghlogfs_value "${last%%=*}" "${last#*=}" ""
            return
        fi
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$_ghlogfs_options" -- "$last")
        COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    elif [[ $word == --*=* ]]; then
        _ghlogfs_value "$(sed 's/^--//; s/=.*//' <<<"$word")" "${word#*=}" ""
    elif [[ $previous == --* && " ${_ghlogfs_options//[[:space:]]/ } " == *" $name= "* ]]; then
        _ghlogfs_value "$name" "$word" ""
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-o -f -d -h -V --help --version
                --check --repair --json" -- "$word"
            compgen -P -- -W "$_ghlogfs_options" -- "${word#--}")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -W "github.com" -- "$word"; compgen -d -- "$word")
        compopt -o filenames
    fi
}

complete -F _ghlogfs ghlogfs

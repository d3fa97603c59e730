# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of netjail(1) for bash. Made by tools/completion.py: change that, not this.
#
# Names of profiles and switches come from `netjail _complete profiles` or `switches`, which never
# starts the helper and never asks for a password. Only root may read all names from the disk;
# everybody else sees those that a running helper tells, or else those of the profiles that are up.

# Sets flags, values (FLAG:KIND ...), places (KIND, KIND* for one or more) and whole for a verb.
__netjail_verb() {
    flags='' values='' places='' whole=''
    case $1 in
        run)
            flags='-u --user --wait --no-wait -d --detach --notify --apart --share --as-is --action -h --help'
            values='-u:user --user:user --wait:none --action:none' places='profile program' whole=1 ;;
        shell)
            flags='-u --user --wait --no-wait -h --help'
            values='-u:user --user:user --wait:none' places='profile' whole=1 ;;
        ps)
            flags='--json -h --help'
            values='' places='profile' ;;
        kill)
            flags='-s --signal --json -h --help'
            values='-s:signal --signal:signal' places='profile none*' ;;
        apps)
            flags='--all --json -h --help'
            values='' places='' ;;
        up)
            flags='--all --wait --dialog --json -h --help'
            values='--wait:none' places='profile*' ;;
        down)
            flags='--all --kill --json -h --help'
            values='' places='profile*' ;;
        use)
            flags='--fastest --random --all --json -h --help'
            values='' places='profile none' ;;
        list)
            flags='--json -h --help'
            values='' places='' ;;
        status)
            flags='--json -h --help'
            values='' places='profile' ;;
        logs)
            flags='-f --follow --since --json -h --help'
            values='--since:none' places='profile' ;;
        graph)
            flags='--svg --up --json -h --help'
            values='--svg:file' places='' ;;
        capture)
            flags='-w --write -i --interface -c --count -s --snap -v --verbose --json -h --help'
            values='-w:file --write:file -i:none --interface:none -c:none --count:none -s:none --snap:none' places='profile none*' ;;
        check)
            flags='--echo --echo-dns --resolver --offline --accept --json -h --help'
            values='--echo:none --echo-dns:none --resolver:none --accept:none' places='profile' ;;
        plan)
            flags='--json -h --help'
            values='' places='profile' ;;
        'port list')
            flags='--json -h --help'
            values='' places='profile' ;;
        'port add')
            flags='--expose --udp --name --json -h --help'
            values='--name:none' places='profile none none' ;;
        'port remove')
            flags='--forward --expose --udp --json -h --help'
            values='' places='profile none' ;;
        'port watch')
            flags='--once --outside --json -h --help'
            values='' places='profile program' whole=1 ;;
        import)
            flags='--kind --name --replace --description --through --user --json -h --help'
            values='--kind:=wireguard,amneziawg,openvpn --name:none --description:none --through:profile --user:user' places='file' ;;
        export)
            flags='-o --output --force --json -h --help'
            values='-o:file --output:file' places='profile' ;;
        'profile add')
            flags='--name --replace --json -h --help'
            values='--name:none' places='file' ;;
        'profile show')
            flags='--secrets --json -h --help'
            values='' places='profile' ;;
        'profile edit')
            flags='--json -h --help'
            values='' places='profile' ;;
        'profile remove')
            flags='--down -y --yes --json -h --help'
            values='' places='profile*' ;;
        'profile validate')
            flags='--json -h --help'
            values='' places='file*' ;;
        'switch add')
            flags='--name --replace --json -h --help'
            values='--name:none' places='file' ;;
        'switch list')
            flags='--json -h --help'
            values='' places='' ;;
        'switch status')
            flags='--json -h --help'
            values='' places='switch' ;;
        'switch show')
            flags='--json -h --help'
            values='' places='switch' ;;
        'switch edit')
            flags='--json -h --help'
            values='' places='switch' ;;
        'switch remove')
            flags='-y --yes --json -h --help'
            values='' places='switch*' ;;
        tray)
            flags='--autostart --wait --import -h --help'
            values='--autostart:=on,off' places='' ;;
        open)
            flags='--in --notify -h --help'
            values='--in:profile' places='file' ;;
        'app pin')
            flags='--json -h --help'
            values='' places='none profile' ;;
        'app unpin')
            flags='--all --json -h --help'
            values='' places='none' ;;
        'app add')
            flags='--json -h --help'
            values='' places='none profile' ;;
        'app remove')
            flags='--json -h --help'
            values='' places='none profile' ;;
        'app list')
            flags='--json -h --help'
            values='' places='' ;;
        'app refresh')
            flags='--json -h --help'
            values='' places='' ;;
        'lab validate')
            flags='--json -h --help'
            values='' places='directory' ;;
        'lab up')
            flags='--json -h --help'
            values='' places='directory' ;;
        'lab status')
            flags='--json -h --help'
            values='' places='directory' ;;
        'lab down')
            flags='--kill --json -h --help'
            values='' places='directory' ;;
        doctor)
            flags='--json -h --help'
            values='' places='' ;;
        setup)
            flags='--print --remove --prefix --destdir --json -h --help'
            values='--prefix:directory --destdir:directory' places='' ;;
        demo)
            flags='--quick --pause --no-color --json -h --help'
            values='' places='' ;;
        help)
            flags='-h --help'
            values='' places='verb*' ;;
        *) return 1 ;;
    esac
}

# Adds what a value of the kind $1 may be.
__netjail_kind() {
    local words=''
    case $1 in
        profile) words=$(netjail _complete profiles 2>/dev/null) ;;
        switch) words=$(netjail _complete switches 2>/dev/null) ;;
        verb) words='run shell ps kill apps up down use list status logs graph capture check plan port import export profile switch tray open app lab doctor setup demo help' ;;
        =*) words=${1#=} words=${words//,/ } ;;
        user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
        signal) mapfile -t COMPREPLY < <(compgen -A signal -- "${cur^^}") ;;
        file | directory)
            compopt -o filenames 2>/dev/null
            local what=-f
            [[ $1 == file ]] || what=-d
            mapfile -t COMPREPLY < <(compgen "$what" -- "$cur") ;;
    esac
    [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

# A command line that begins at word $1: complete it as that command would be.
__netjail_program() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)) && [[ $cur != */* ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    else
        __netjail_kind file
    fi
}

_netjail() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' words flags values places whole
    local i=1 at=0 word kind place option
    COMPREPLY=()

    # the verb, of one word or two
    while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} == -* ]]; do ((i++)); done
    if ((i == COMP_CWORD)); then
        words='run shell ps kill apps up down use list status logs graph capture check plan port import export profile switch tray open app lab doctor setup demo help'
        [[ $cur != -* ]] || words='--json --no-ask-password -h --help -V --version'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    fi
    verb=${COMP_WORDS[i++]}
    words=''
    case $verb in
        port) words='list add remove watch' ;;
        profile) words='add show edit remove validate' ;;
        switch) words='add list status show edit remove' ;;
        app) words='pin unpin add remove list refresh' ;;
        lab) words='validate up status down' ;;
    esac
    if [[ -n $words ]]; then
        if ((i == COMP_CWORD)); then
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
            return
        fi
        verb+=" ${COMP_WORDS[i++]}"
    fi
    __netjail_verb "$verb" || return 0

    # what stands between the verb and the cursor; readline splits --option=value at the `=`
    local dashes=''
    while ((i < COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -- && -z $dashes ]]; then
            dashes=1
            ((i++))
        elif [[ $word == -?* && -z $dashes ]] && ! [[ $whole && $at -gt 0 ]]; then
            option=$word
            ((i++))
            [[ " $values " == *" $option:"* ]] || continue
            [[ ${COMP_WORDS[i]} != = ]] || ((i++))
            if ((i >= COMP_CWORD)); then
                [[ $cur != = ]] || cur=''
                kind=" $values "
                kind=${kind##* "$option":}
                __netjail_kind "${kind%% *}"
                return
            fi
            ((i++))
        else
            read -ra place <<<"$places"
            if [[ ${place[at]} == program ]]; then
                __netjail_program "$i"
                return
            fi
            ((at++, i++))
        fi
    done

    read -ra place <<<"$places"
    if [[ ${place[at]} == program ]]; then
        __netjail_program "$i"
    elif [[ $cur == -* && -z $dashes ]] && ! [[ $whole && $at -gt 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        kind=${place[at]}
        [[ -n $kind || ${#place[@]} -eq 0 || ${place[-1]} != *'*' ]] || kind=${place[-1]}
        __netjail_kind "${kind%'*'}"
    fi
}

complete -F _netjail netjail

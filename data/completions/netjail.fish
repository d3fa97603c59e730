# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of netjail(1) for fish. Made by tools/completion.py: change that, not this.
#
# Names of profiles and switches come from `netjail _complete profiles` or `switches`, which never
# starts the helper and never asks for a password. Only root may read all names from the disk;
# everybody else sees those that a running helper tells, or else those of the profiles that are up.

# Prints the verb (if there is one yet), then `--` if options are over, then each argument that is
# no option, one a line; all of what stands before the cursor.
function __netjail_read
    set -l tokens (commandline -opc)
    set -e tokens[1]
    while set -q tokens[1]; and string match -q -- '-*' $tokens[1]
        set -e tokens[1]
    end
    set -q tokens[1]; or return
    set -l verb $tokens[1]
    set -e tokens[1]
    if contains -- $verb app lab port profile switch; and set -q tokens[1]
        set verb "$verb $tokens[1]"
        set -e tokens[1]
    end
    set -l over
    set -l places
    while set -q tokens[1]
        set -l token $tokens[1]
        set -e tokens[1]
        if test "$token" = --; and not set -q over[1]
            set over --
        else if not set -q over[1]; and string match -qr -- '^-.' $token
            if contains -- $token --accept --action --autostart --count --description --destdir --echo --echo-dns --in --interface --kind --name --output --prefix --resolver --signal --since --snap --svg --through --user --wait --write -c -i -o -s -u -w
                set -e tokens[1]
            end
        else
            set -a places $token
            if contains -- $verb run shell 'port watch'
                # what follows is the program's, but for one `--`
                set over --
                if test "$tokens[1]" = --
                    set -e tokens[1]
                end
            end
        end
    end
    printf '%s\n' $verb "$over" $places
end

function __netjail_at -a verb
    set -l read (__netjail_read)
    test "$read[1]" = "$verb"; and test (count $read) -le 2
end

function __netjail_options -a verb
    set -l read (__netjail_read)
    test "$read[1]" = "$verb"; and test -z "$read[2]"
end

# Whether argument number $place (from 0), or with `+` a later one, of this verb comes next.
function __netjail_place -a verb place more
    set -l read (__netjail_read)
    test "$read[1]" = "$verb"; or return
    set -l at (math (count $read) - 2)
    test $at -eq $place; or test -n "$more" -a $at -gt $place
end

function __netjail_profiles
    netjail _complete profiles 2>/dev/null
end

function __netjail_switches
    netjail _complete switches 2>/dev/null
end

function __netjail_verbs
    complete -C 'netjail ' | string match -v -- '-*'
end

function __netjail_signals
    string upper -- (string split ' ' -- (command kill -l 2>/dev/null)) | string match -r '^[A-Z][A-Z0-9+-]+$'
end

function __netjail_program
    set -l read (__netjail_read)
    set -l rest $read[4..-1] (commandline -ct)
    if test (count $rest) -eq 1
        __fish_complete_command
    else
        __fish_complete_subcommand --commandline $rest
    end
end

complete -c netjail -f
complete -c netjail -n "__netjail_at ''" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_at ''" -l no-ask-password -d 'fail rather than ask for a password'
complete -c netjail -n "__netjail_at ''" -s h -l help -d 'list the verbs'
complete -c netjail -n "__netjail_at ''" -s V -l version -d 'print the version'
complete -c netjail -n "__netjail_at ''" -a run -d 'run a program in a profile\'s network'
complete -c netjail -n "__netjail_at ''" -a shell -d 'open a shell in it'
complete -c netjail -n "__netjail_at ''" -a ps -d 'list the programs that run in it'
complete -c netjail -n "__netjail_at ''" -a kill -d 'send a signal to them'
complete -c netjail -n "__netjail_at ''" -a apps -d 'list the applications of the menu'
complete -c netjail -n "__netjail_at ''" -a up -d 'bring profiles up'
complete -c netjail -n "__netjail_at ''" -a down -d 'take profiles down'
complete -c netjail -n "__netjail_at ''" -a use -d 'choose the place of a pool of servers'
complete -c netjail -n "__netjail_at ''" -a list -d 'list the profiles'
complete -c netjail -n "__netjail_at ''" -a status -d 'show how a profile\'s network is doing'
complete -c netjail -n "__netjail_at ''" -a logs -d 'tell what has happened to it, and what was done'
complete -c netjail -n "__netjail_at ''" -a graph -d 'draw all networks, as text or as a picture'
complete -c netjail -n "__netjail_at ''" -a capture -d 'record or show what goes over it (tcpdump)'
complete -c netjail -n "__netjail_at ''" -a check -d 'find out whether anything leaks'
complete -c netjail -n "__netjail_at ''" -a plan -d 'show what `up` would do, step by step'
complete -c netjail -n "__netjail_at ''" -a port -d 'ports: list, add, remove, watch'
complete -c netjail -n "__netjail_at ''" -a import -d 'make a profile from a VPN provider\'s file'
complete -c netjail -n "__netjail_at ''" -a export -d 'give a profile back as a wg-quick file'
complete -c netjail -n "__netjail_at ''" -a profile -d 'profiles: add, show, edit, remove, validate'
complete -c netjail -n "__netjail_at ''" -a switch -d 'switches: add, list, status, show, edit, remove'
complete -c netjail -n "__netjail_at ''" -a tray -d 'show an icon in the panel, with a menu'
complete -c netjail -n "__netjail_at ''" -a open -d 'open a file or web page with your default application'
complete -c netjail -n "__netjail_at ''" -a app -d 'applications: pin, unpin, add, remove, list, refresh'
complete -c netjail -n "__netjail_at ''" -a lab -d 'labs: validate, up, status, down'
complete -c netjail -n "__netjail_at ''" -a doctor -d 'check that this machine has what netjail needs'
complete -c netjail -n "__netjail_at ''" -a setup -d 'tell polkit, D-Bus, systemd and the shells about netjail'
complete -c netjail -n "__netjail_at ''" -a demo -d 'see it work, in a network of its own'
complete -c netjail -n "__netjail_at ''" -a help -d 'explain a verb'
complete -c netjail -n "__netjail_at port" -a list -d 'list a profile\'s ports, in and out'
complete -c netjail -n "__netjail_at port" -a add -d 'let the host reach a service inside, or the other way round'
complete -c netjail -n "__netjail_at port" -a remove -d 'close one'
complete -c netjail -n "__netjail_at port" -a watch -d 'tell of the provider\'s port, or run a command on it'
complete -c netjail -n "__netjail_at profile" -a add -d 'store a profile written by hand'
complete -c netjail -n "__netjail_at profile" -a show -d 'print a profile, keys hidden'
complete -c netjail -n "__netjail_at profile" -a edit -d 'change a profile in your editor'
complete -c netjail -n "__netjail_at profile" -a remove -d 'delete profiles'
complete -c netjail -n "__netjail_at profile" -a validate -d 'check profile files, no root needed'
complete -c netjail -n "__netjail_at switch" -a add -d 'store a switch, a network that several profiles join'
complete -c netjail -n "__netjail_at switch" -a list -d 'list the switches'
complete -c netjail -n "__netjail_at switch" -a status -d 'show who is on a switch'
complete -c netjail -n "__netjail_at switch" -a show -d 'print a switch\'s file'
complete -c netjail -n "__netjail_at switch" -a edit -d 'change a switch in your editor'
complete -c netjail -n "__netjail_at switch" -a remove -d 'delete switches'
complete -c netjail -n "__netjail_at app" -a pin -d 'make an application always start in a profile'
complete -c netjail -n "__netjail_at app" -a unpin -d 'make it start as before'
complete -c netjail -n "__netjail_at app" -a add -d 'add a second launcher that starts in a profile'
complete -c netjail -n "__netjail_at app" -a remove -d 'take such a launcher away'
complete -c netjail -n "__netjail_at app" -a list -d 'list what is pinned and added, and check it'
complete -c netjail -n "__netjail_at app" -a refresh -d 'bring the entries up to date'
complete -c netjail -n "__netjail_at lab" -a validate -d 'check a directory of profiles and switches'
complete -c netjail -n "__netjail_at lab" -a up -d 'bring all of it up, or nothing'
complete -c netjail -n "__netjail_at lab" -a status -d 'show what of it is up'
complete -c netjail -n "__netjail_at lab" -a down -d 'take it down and away'

complete -c netjail -n "__netjail_options run" -s u -l user -x -a '(__fish_complete_users)' -d 'run as this user (default: the one who called sudo, else root)'
complete -c netjail -n "__netjail_options run" -l wait -x -d 'how long to wait for the tunnel to answer (default: 5 where it was down, else 0)'
complete -c netjail -n "__netjail_options run" -l no-wait -d 'the same as --wait 0'
complete -c netjail -n "__netjail_options run" -s d -l detach -d 'return as soon as the program runs, in a session of its own without terminal'
complete -c netjail -n "__netjail_options run" -l notify -d 'show errors as notifications too, for launchers that have no terminal'
complete -c netjail -n "__netjail_options run" -l apart -d 'a copy of the program with data of its own for this profile (remembered)'
complete -c netjail -n "__netjail_options run" -l share -d 'a copy with data of its own that all profiles share (remembered)'
complete -c netjail -n "__netjail_options run" -l as-is -d 'the program as it stands, even if it would open outside'
complete -c netjail -n "__netjail_options run" -l action -x -d 'an action of a .desktop entry'
complete -c netjail -n "__netjail_options run" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place run 0" -a '(__netjail_profiles)'
complete -c netjail -n "__netjail_place run 1 +" -a '(__netjail_program)'

complete -c netjail -n "__netjail_options shell" -s u -l user -x -a '(__fish_complete_users)' -d 'run as this user (default: the one who called sudo, else root)'
complete -c netjail -n "__netjail_options shell" -l wait -x -d 'how long to wait for the tunnel to answer (default: 5 where it was down, else 0)'
complete -c netjail -n "__netjail_options shell" -l no-wait -d 'the same as --wait 0'
complete -c netjail -n "__netjail_options shell" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place shell 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options ps" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options ps" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place ps 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options kill" -s s -l signal -x -a '(__netjail_signals)' -d 'name or number (default: TERM)'
complete -c netjail -n "__netjail_options kill" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options kill" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place kill 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options apps" -l all -d 'also what menus do not show, and why files were left out'
complete -c netjail -n "__netjail_options apps" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options apps" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options up" -l all -d 'every profile there is'
complete -c netjail -n "__netjail_options up" -l wait -x -d 'how long to wait for a tunnel\'s first handshake (default: 5)'
complete -c netjail -n "__netjail_options up" -l dialog -d 'without a terminal: ask for a VPN\'s password in a window (zenity, kdialog)'
complete -c netjail -n "__netjail_options up" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options up" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place up 0 +" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options down" -l all -d 'every profile that is up'
complete -c netjail -n "__netjail_options down" -l kill -d 'end the programs that run inside'
complete -c netjail -n "__netjail_options down" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options down" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place down 0 +" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options use" -l fastest -d 'measure how soon servers answer, take the first'
complete -c netjail -n "__netjail_options use" -l random -d 'take any other one'
complete -c netjail -n "__netjail_options use" -l all -d 'list every place'
complete -c netjail -n "__netjail_options use" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options use" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place use 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options list" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options list" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options status" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options status" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place status 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options logs" -s f -l follow -d 'go on as more happens'
complete -c netjail -n "__netjail_options logs" -l since -x -d 'not what is older: `90s`, `10m`, `2h`, `1d`, or a time as 2026-01-31T18:00'
complete -c netjail -n "__netjail_options logs" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options logs" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place logs 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options graph" -l svg -r -F -d 'write a picture to this file (-: standard output)'
complete -c netjail -n "__netjail_options graph" -l up -d 'only what is up'
complete -c netjail -n "__netjail_options graph" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options graph" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options capture" -s w -l write -r -F -d 'write to this file (-: standard output)'
complete -c netjail -n "__netjail_options capture" -s i -l interface -x -d 'the interface (default: the only one there is, else `any`)'
complete -c netjail -n "__netjail_options capture" -s c -l count -x -d 'end after so many packets'
complete -c netjail -n "__netjail_options capture" -s s -l snap -x -d 'only so much of each'
complete -c netjail -n "__netjail_options capture" -s v -l verbose -d 'show more of each packet'
complete -c netjail -n "__netjail_options capture" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options capture" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place capture 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options check" -l echo -x -d 'a page that answers with its visitor\'s address'
complete -c netjail -n "__netjail_options check" -l echo-dns -x -d 'a name that resolves to the address of who asks for it'
complete -c netjail -n "__netjail_options check" -l resolver -x -d 'ask this one straight for that name, too'
complete -c netjail -n "__netjail_options check" -l offline -d 'ask nobody outside, whatever the settings say'
complete -c netjail -n "__netjail_options check" -l accept -x -d 'a warning that you know and accept (may be given several times)'
complete -c netjail -n "__netjail_options check" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options check" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place check 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options plan" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options plan" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place plan 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'port list'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'port list'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'port list' 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'port add'" -l expose -d 'from inside to the host'
complete -c netjail -n "__netjail_options 'port add'" -l udp -d 'UDP in place of TCP'
complete -c netjail -n "__netjail_options 'port add'" -l name -x -d 'what `port list` calls it'
complete -c netjail -n "__netjail_options 'port add'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'port add'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'port add' 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'port remove'" -l forward -d 'from the host to inside'
complete -c netjail -n "__netjail_options 'port remove'" -l expose -d 'from inside to the host'
complete -c netjail -n "__netjail_options 'port remove'" -l udp -d 'UDP in place of TCP'
complete -c netjail -n "__netjail_options 'port remove'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'port remove'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'port remove' 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'port watch'" -l once -d 'end after the first port'
complete -c netjail -n "__netjail_options 'port watch'" -l outside -d 'run COMMAND outside the profile'
complete -c netjail -n "__netjail_options 'port watch'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'port watch'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'port watch' 0" -a '(__netjail_profiles)'
complete -c netjail -n "__netjail_place 'port watch' 1 +" -a '(__netjail_program)'

complete -c netjail -n "__netjail_options import" -l kind -x -a 'wireguard amneziawg openvpn' -d 'of a directory or .zip that has both: which to take (default: what most are)'
complete -c netjail -n "__netjail_options import" -l name -x -d 'the profile\'s name (default: the file\'s)'
complete -c netjail -n "__netjail_options import" -l replace -d 'replace a profile of that name'
complete -c netjail -n "__netjail_options import" -l description -x -d 'shown by `netjail list`'
complete -c netjail -n "__netjail_options import" -l through -x -a '(__netjail_profiles)' -d 'send the encrypted packets through this profile\'s network'
complete -c netjail -n "__netjail_options import" -l user -x -a '(__fish_complete_users)' -d 'who may use the profile (may be given again)'
complete -c netjail -n "__netjail_options import" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options import" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place import 0" -F

complete -c netjail -n "__netjail_options export" -s o -l output -r -F -d 'where to (default: standard output)'
complete -c netjail -n "__netjail_options export" -l force -d 'overwrite FILE'
complete -c netjail -n "__netjail_options export" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options export" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place export 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'profile add'" -l name -x -d 'the profile\'s name (default: the file\'s)'
complete -c netjail -n "__netjail_options 'profile add'" -l replace -d 'replace a profile of that name'
complete -c netjail -n "__netjail_options 'profile add'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'profile add'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'profile add' 0" -F

complete -c netjail -n "__netjail_options 'profile show'" -l secrets -d 'print keys too'
complete -c netjail -n "__netjail_options 'profile show'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'profile show'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'profile show' 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'profile edit'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'profile edit'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'profile edit' 0" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'profile remove'" -l down -d 'take it down first if it is up'
complete -c netjail -n "__netjail_options 'profile remove'" -s y -l yes -d 'do not ask'
complete -c netjail -n "__netjail_options 'profile remove'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'profile remove'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'profile remove' 0 +" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'profile validate'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'profile validate'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'profile validate' 0 +" -F

complete -c netjail -n "__netjail_options 'switch add'" -l name -x -d 'the switch\'s name (default: the file\'s)'
complete -c netjail -n "__netjail_options 'switch add'" -l replace -d 'replace a switch of that name'
complete -c netjail -n "__netjail_options 'switch add'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch add'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'switch add' 0" -F

complete -c netjail -n "__netjail_options 'switch list'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch list'" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options 'switch status'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch status'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'switch status' 0" -a '(__netjail_switches)'

complete -c netjail -n "__netjail_options 'switch show'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch show'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'switch show' 0" -a '(__netjail_switches)'

complete -c netjail -n "__netjail_options 'switch edit'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch edit'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'switch edit' 0" -a '(__netjail_switches)'

complete -c netjail -n "__netjail_options 'switch remove'" -s y -l yes -d 'do not ask'
complete -c netjail -n "__netjail_options 'switch remove'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'switch remove'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'switch remove' 0 +" -a '(__netjail_switches)'

complete -c netjail -n "__netjail_options tray" -l autostart -x -a 'on off' -d 'whether to start at login; shows no icon now'
complete -c netjail -n "__netjail_options tray" -l wait -d 'where there is no tray, wait until there is one'
complete -c netjail -n "__netjail_options tray" -l import -d 'choose a VPN file to import'
complete -c netjail -n "__netjail_options tray" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options open" -l in -x -a '(__netjail_profiles)' -d 'whose network it gets'
complete -c netjail -n "__netjail_options open" -l notify -d 'show errors as notifications too, for launchers that have no terminal'
complete -c netjail -n "__netjail_options open" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place open 0" -F

complete -c netjail -n "__netjail_options 'app pin'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app pin'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'app pin' 1" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'app unpin'" -l all -d 'all that are pinned, and all launchers'
complete -c netjail -n "__netjail_options 'app unpin'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app unpin'" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options 'app add'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app add'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'app add' 1" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'app remove'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app remove'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'app remove' 1" -a '(__netjail_profiles)'

complete -c netjail -n "__netjail_options 'app list'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app list'" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options 'app refresh'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'app refresh'" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options 'lab validate'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'lab validate'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'lab validate' 0" -a '(__fish_complete_directories)'

complete -c netjail -n "__netjail_options 'lab up'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'lab up'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'lab up' 0" -a '(__fish_complete_directories)'

complete -c netjail -n "__netjail_options 'lab status'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'lab status'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'lab status' 0" -a '(__fish_complete_directories)'

complete -c netjail -n "__netjail_options 'lab down'" -l kill -d 'end the programs that run inside'
complete -c netjail -n "__netjail_options 'lab down'" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options 'lab down'" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place 'lab down' 0" -a '(__fish_complete_directories)'

complete -c netjail -n "__netjail_options doctor" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options doctor" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options setup" -l print -d 'show what would be done, and do nothing'
complete -c netjail -n "__netjail_options setup" -l remove -d 'remove what setup has written'
complete -c netjail -n "__netjail_options setup" -l prefix -x -a '(__fish_complete_directories)' -d 'where commands, manual pages and the like go (default: /usr/local)'
complete -c netjail -n "__netjail_options setup" -l destdir -x -a '(__fish_complete_directories)' -d 'write the data files, without the commands, below this directory, for those who make packages'
complete -c netjail -n "__netjail_options setup" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options setup" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options demo" -l quick -d 'leave out what repeats'
complete -c netjail -n "__netjail_options demo" -l pause -d 'wait at the end, to look around'
complete -c netjail -n "__netjail_options demo" -l no-color -d 'as with NO_COLOR=1'
complete -c netjail -n "__netjail_options demo" -l json -d 'print one line of JSON instead of text'
complete -c netjail -n "__netjail_options demo" -s h -l help -d 'this text'

complete -c netjail -n "__netjail_options help" -s h -l help -d 'this text'
complete -c netjail -n "__netjail_place help 0 +" -a '(__netjail_verbs)'

# Waits until nobody holds its standard input any more, however that process
# ended, then removes what was announced there, one line each:
#
#   container NAME     a Docker container and its volumes
#   directory PATH     a directory, after the processes of its *.pid files
#   keep               leave everything as it is
set -u
trap '' INT TERM HUP

containers=
while read -r kind name; do
    case $kind in
    container) containers="$containers $name" ;;
    directory) set -- "$@" "$name" ;;
    keep) exit 0 ;;
    esac
done

remove_container() {
    # It prints nothing when there is no such container; Docker may then still
    # be making it.
    [ -n "$(docker rm --force --volumes "$1")" ] && return
    sleep 1
    docker rm --force --volumes "$1"
}

stop_processes() {
    for pid_file in "$1"/*.pid; do
        [ -e "$pid_file" ] || continue
        pid=$(cat "$pid_file")
        # To Postgres: stop now, and free the shared memory.
        kill -QUIT "$pid"
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 "$pid" || break
            sleep 0.2
        done
        kill -0 "$pid" && kill -KILL "$pid"
    done
}

for name in $containers; do
    remove_container "$name" &
done
for directory in "$@"; do
    stop_processes "$directory"
    rm -rf "$directory"
done
wait

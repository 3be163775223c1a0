# Keeps the servers of one folder, and ends them when its own standard input does: that is when
# the test is over, however it ended. It is their parent, so that no pid is ever another's, and the
# kernel ends them if it is killed itself, where setpriv can ask for that.
#
# $1: the folder, which it makes and removes. $2: the signal that ends a server.
# Commands, a line each, and a line of answer to each:
#   run NAME             runs NAME.sh of the folder to its end; its exit status
#   start NAME           starts NAME.sh; its pid
#   signal SIGNAL PID..  sends a signal; 0 if that worked
#   reap PID             waits until it has ended; gone
folder=$1
signal=$2
pids=

# For the scripts: the last program that changes what a server may do has to ask, as the kernel
# forgets it with that.
if setpriv --pdeathsig "$signal" true; then
    export dies_with_parent="--pdeathsig $signal"
fi

mkdir -m 700 "$folder" || exit 1
echo ready

while read -r word first rest; do
    case $word in
    run)
        sh "$folder/$first.sh" </dev/null >>"$folder/$first.log" 2>&1
        echo $?
        ;;
    start)
        sh "$folder/$first.sh" </dev/null >>"$folder/$first.log" 2>&1 &
        pids="$pids $!"
        echo $!
        ;;
    signal)
        kill "-$first" $rest
        echo $?
        ;;
    reap)
        wait "$first"
        left=
        for pid in $pids; do
            [ "$pid" = "$first" ] || left="$left $pid"
        done
        pids=$left
        echo gone
        ;;
    esac
done

if [ -n "$pids" ]; then
    kill -CONT $pids
    kill "-$signal" $pids
fi
for pid in $pids; do
    tries=0
    while kill -0 "$pid" && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -KILL "$pid"
    wait "$pid"
done
# What is still writing there, such as a setup that was cut short, fails soon.
tries=0
while ! rm -rf "$folder" && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done

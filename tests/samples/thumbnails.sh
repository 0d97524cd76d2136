#!/usr/bin/env bash
# thumbnails: the same pictures at every scale, bad ones by name, and nothing half-made after Ctrl-C.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program thumbnails
scales='loop threads processes jobs'

# bytes FILE OFFSET N: as a hexadecimal number
bytes() { od -An -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'; }
# is_picture FILE WIDTH HEIGHT: a PNG file of that size, 8 bits a sample, that has its end
is_picture() {
    [ "$(bytes "$1" 0 8)" = 89504e470d0a1a0a ] || fail "'$1' is no PNG file"
    [ "$((16#$(bytes "$1" 16 4))) x $((16#$(bytes "$1" 20 4)))" = "$2 x $3" ] ||
        fail "'$1' is $((16#$(bytes "$1" 16 4))) x $((16#$(bytes "$1" 20 4))), expected $2 x $3"
    [ "$(bytes "$1" 24 1)" = 08 ] || fail "'$1' has not 8 bits a sample"
    [ "$(tail -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 49454e44ae426082 ] || fail "'$1' is cut short"
}
# only_pictures FOLDER: nothing else is left in it
only_pictures() {
    local left
    left=$(find "$1" -type f ! -name '[0-9]*.png')
    [ -z "$left" ] || fail "left behind: $left"
}

# The pictures to try it with are the same ones each time, and of all kinds.
run --make 9 --size 200 pictures
expect_status 0
run --make 9 --size 200 again
diff -r pictures again >&2 || fail "the pictures to try it with are not the same ones"
[ "$(bytes pictures/0006-two-colours.png 24 2)" = 0103 ] || fail "there is no picture of two colours, a bit a pixel"
[ "$(bytes pictures/0008-rgba-16.png 24 2)" = 1006 ] || fail "there is no picture of 16 bits with alpha"

# All scales make the same of them, in the right size; one that is smaller stays as it is.
run --width 60 --workers 2 pictures small
expect_status 0
for scale in $scales; do
    expect_in out "^$scale +9 +0 +[0-9]+ +[0-9.]+ +[0-9.]+$"
    expect_in err "^$scale: 0 of 9$"
    expect_in err "^$scale: 9 of 9$"
    diff -r small/loop "small/$scale" >&2 || fail "$scale makes other thumbnails than the loop"
done
[ "$(find small/loop -type f | wc -l)" = 9 ] || fail "a thumbnail is missing"
is_picture small/loop/0001-rgb.png 60 45
is_picture small/loop/0002-rgba.png 60 45
is_picture small/loop/0003-grey.png 60 80
is_picture small/loop/0004-grey-alpha.png 60 45
is_picture small/loop/0005-palette.png 60 45
is_picture small/loop/0006-two-colours.png 60 80
is_picture small/loop/0007-rgb-16.png 60 45
is_picture small/loop/0008-rgba-16.png 60 45
only_pictures small
# What is grey stays grey, and what has alpha keeps it: the type of the colours.
[ "$(bytes small/loop/0003-grey.png 25 1)$(bytes small/loop/0004-grey-alpha.png 25 1)" = 0004 ] || fail "grey pictures are not grey any more"
[ "$(bytes small/loop/0001-rgb.png 25 1)$(bytes small/loop/0008-rgba-16.png 25 1)" = 0206 ] || fail "alpha came or went"
run --scale threads --width 1000 pictures large
expect_status 0
is_picture large/0001-rgb.png 200 150
# Averages of averages are nearly the averages: what was made smaller twice has the size of what was made so at once.
run --scale loop --width 7 large tiny
expect_status 0
is_picture tiny/0003-grey.png 7 9

# Jobs by way of a file.
run --scale jobs --url "sqlite:$workdir/jobs.db" --width 60 pictures by_file
expect_status 0
diff -r small/loop by_file >&2 || fail "jobs from a file make other thumbnails"

# Files that are no pictures, cut short, damaged, empty, not there: each is named, at every scale, and the others are made.
cp -r pictures mixed
printf 'no picture' >mixed/a-text.png
head -c 5000 pictures/0001-rgb.png >mixed/b-short.png
{ head -c 3000 pictures/0001-rgb.png && printf 'DAMAGED' && tail -c +3008 pictures/0001-rgb.png; } >mixed/c-damaged.png
: >mixed/d-empty.png
ln -s nowhere mixed/e-missing.png
mkdir mixed/f-folder.png
run --width 60 --workers 3 mixed some
expect_status 1
for scale in $scales; do
    expect_in out "^$scale +9 +5 "
    expect_in err "^thumbnails: $scale: mixed/a-text.png: cannot be decoded: "
    expect_in err "^thumbnails: $scale: mixed/b-short.png: cannot be decoded: "
    expect_in err "^thumbnails: $scale: mixed/c-damaged.png: cannot be decoded: "
    expect_in err "^thumbnails: $scale: mixed/d-empty.png: is empty$"
    expect_in err "^thumbnails: $scale: mixed/e-missing.png: cannot be opened: No such file or directory$"
    diff -r "small/$scale" "some/$scale" >&2 || fail "bad pictures change what becomes of the good ones"
done

# A thumbnail that cannot be put in its place, and nothing in its stead.
mkdir -p taken/0001-rgb.png
run --scale threads --width 60 pictures taken
expect_status 1
expect_in err "^thumbnails: threads: pictures/0001-rgb.png: the thumbnail cannot be put in its place: Is a directory$"
only_pictures taken
is_picture taken/0002-rgba.png 60 45

# Ctrl-C, as the terminal sends it: to all processes of the group.
run --make 1 --size 1200 one
expect_status 0
run --scale loop --width 300 one expected
expect_status 0
mkdir many
for ((i = 1; i <= 2000; ++i)); do ln one/0001-rgb.png "many/$i.png"; done
for scale in $scales; do
    start --scale "$scale" --width 300 --workers 2 many "stopped_$scale"
    wait_for_line err "^$scale: 0 of 2000$"
    for ((i = 0; i < 1200; ++i)); do # a minute; until there is something to spoil
        [ -z "$(find "stopped_$scale" -name '[0-9]*.png' -print -quit)" ] || break
        sleep 0.05
    done
    kill -INT -- "-$pid"
    finish
    expect_status 130
    only_pictures "stopped_$scale"
    made=0
    for thumbnail in "stopped_$scale"/*.png; do
        cmp -s "$thumbnail" expected/0001-rgb.png || fail "'$thumbnail' is half-made"
        made=$((made + 1))
    done
    [ "$made" -lt 2000 ] || fail "nothing was left to be stopped"
done

# Processes that are killed: their pictures are tried again, in others.
mkdir fewer
for ((i = 1; i <= 60; ++i)); do ln one/0001-rgb.png "fewer/$i.png"; done
# child_of PID: one of its processes
child_of() {
    local stat child parent _
    for stat in /proc/[0-9]*/stat; do
        read -r child _ _ parent _ 2>/dev/null <"$stat" || continue
        if [ "$parent" = "$1" ]; then echo "$child" && return; fi
    done
}
start --scale processes --width 300 --workers 2 fewer killed
for done in 0 6; do # a tenth
    wait_for_line err "^processes: $done of 60$"
    worker=$(child_of "$(child_of "$pid")") # those of the fork server
    [ -n "$worker" ] || fail "there is no worker"
    kill -KILL "$worker"
done
finish
expect_status 0
expect_in out '^processes +60 +0 '
for ((i = 1; i <= 60; ++i)); do cmp -s "killed/$i.png" expected/0001-rgb.png || fail "thumbnail $i is another after a worker was killed"; done

# Nothing to do; nowhere to go; wrong arguments.
mkdir empty
run empty small
expect_status 1
expect_in err "there is no \.png file in 'empty'$"
run no/such/folder small
expect_status 1
expect_in err "No such file or directory"
run --scale jobs --url amqp://localhost pictures small
expect_status 1
expect_in err "'amqp:' is no broker"
run --scale machines pictures small
expect_status 2
expect_in err "^thumbnails: --scale: 'machines' is none of loop, threads, processes, jobs, all$"
run --width 0 pictures small
expect_status 2
run pictures
expect_status 2
expect_in err '^thumbnails: two folders are needed'
run --make 3
expect_status 2

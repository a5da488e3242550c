# user-data -> the commands under runcmd:, one a line (plain strings only)
/^runcmd:/ { inside = 1; next }
/^[^ -]/ { inside = 0 }
inside && sub(/^ *- */, "") {
    if (match($0, /^".*"$/) || match($0, /^'.*'$/)) $0 = substr($0, 2, length($0) - 2)
    print
}

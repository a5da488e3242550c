# network-config version 2 -> one "key value" a line: card, mac, dhcp4, address, gateway, dns
function clean(text) { gsub(/["'\r]/, "", text); sub(/^[ \t]+/, "", text); sub(/[ \t]+$/, "", text); return text }
function items(key, text, parts, count, i) {
    gsub(/[][]/, "", text)
    count = split(text, parts, ",")
    for (i = 1; i <= count; i++) if (clean(parts[i]) != "") print key, clean(parts[i])
}
/^[ \t]*(#|$)/ { next }
{
    match($0, /^ */)
    indent = RLENGTH
    line = substr($0, indent + 1)
    is_item = sub(/^- */, "", line)
    colon = index(line, ":")
    name = colon ? clean(substr(line, 1, colon - 1)) : ""
    text = colon ? clean(substr(line, colon + 1)) : ""
}
name == "ethernets" { base = indent; level = -1; inside = 1; next }
inside && indent <= base && !is_item { inside = 0 }
!inside { next }
level < 0 { level = indent }
indent == level && !is_item { print "card", name; list = ""; default_route = 0; next }
is_item && list == "addresses" { items("address", line); next }
is_item && list == "dns" { items("dns", line); next }
name == "macaddress" { print "mac", tolower(text) }
name == "dhcp4" { print "dhcp4", (text == "true" || text == "yes") ? "true" : "false" }
name == "gateway4" { print "gateway", text }
name == "nameservers" { dns = 1; list = ""; next }
name == "routes" { list = ""; dns = 0; next }
name == "addresses" { key = dns ? "dns" : "address"; if (text != "") items(key, text); list = dns ? "dns" : "addresses"; dns = 0; next }
name == "to" { default_route = (text == "default" || text == "0.0.0.0/0"); if (via != "" && default_route) print "gateway", via; via = "" }
name == "via" { if (default_route) print "gateway", text; else via = text; default_route = 0 }

# Lists what the public headers declare for use: "HEADER<tab>WHERE<tab>NAME" a line. No parser of C++, but enough of one for the
# headers of this project.
#
#   awk -f reference_names.awk HEADER...
#
# Left out: namespaces called detail…, private and protected members, constructors, operators, friends, what follows
# "// --- implementation", and what a comment says to be for the library, as a trailing comment, as the comment of a declaration,
# or over a block that ends with an empty line.

function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t]+$/, "", s); return s }

# Without what is in parentheses and in angle brackets, and without attributes.
function squashed(s,   i, c, before, round, angle, out) {
    gsub(/\[\[[^]]*\]\]/, " ", s)
    for (i = 1; i <= length(s); ++i) {
        c = substr(s, i, 1)
        if (c == "(") { if (!round++ && !angle) out = out "(" }
        else if (c == ")") { if (!--round && !angle) out = out ")" }
        else if (round) continue
        else if (c == "<" && before ~ /[A-Za-z_0-9 ]/ && out !~ /operator *$/) ++angle
        else if (c == ">" && before != "-" && angle) --angle
        else if (!angle) out = out c
        before = c
    }
    gsub(/(requires|decltype|noexcept|explicit|alignas) *\(\)/, " ", out)
    gsub(/(^| )template( |$)/, " ", out)
    gsub(/(^| )template( |$)/, " ", out)
    return trim(out)
}

function last_word(s) { s = trim(s); sub(/.*[^A-Za-z_0-9]/, "", s); return s }

function visible(   i) {
    for (i = 1; i <= depth; ++i)
        if (kind[i] == "hidden" || access[i] != "public") return 0
    return 1
}

function emit(name) {
    if (!visible() || hide_next || hidden_line || hidden_block) return
    if (name == "" || name ~ /_$/ || name ~ /^[0-9A-Z]/) return
    if (depth && kind[depth] == "class" && name == label[depth]) return # a constructor
    print header "\t" (depth ? label[depth] : "") "\t" name
}

# What a declaration up to `;`, `{` or a body declares.
function declared(s,   t, n) {
    if (s ~ /^ *(public|private|protected|friend|static_assert|using +namespace|extern)/ || s ~ /operator/) return ""
    if (s ~ /(= *delete) *$/) return ""
    t = squashed(s)
    if (t ~ /^friend /) return ""
    if (t ~ /^using +[A-Za-z_0-9]+ *=/) { sub(/^using +/, "", t); sub(/ *=.*/, "", t); return t }
    if (t ~ /^using /) return ""
    if (t ~ /(^| )concept +[A-Za-z_0-9]+ *=/) { sub(/.*concept +/, "", t); sub(/ *=.*/, "", t); return t }
    if (t ~ /(^| )(class|struct|union)( +[A-Za-z_0-9]+)+ *$/) return "" # declared ahead
    if (t ~ /^(struct|class) .*::/) return "" # a specialisation of somebody else's
    if (t ~ /^(bool|void|int) *\(\)/ && match(s, /\(\*[a-z_]+\)/)) return substr(s, RSTART + 2, RLENGTH - 3) # a pointer to a function
    n = index(t, "(")
    if (n && t !~ /^[^(]*=/) {
        t = substr(t, 1, n - 1)
        return t ~ /~/ ? "" : last_word(t)
    }
    sub(/ *[={].*/, "", t)
    sub(/ *\[[^]]*\] *$/, "", t)
    return t ~ / / ? last_word(t) : ""
}

function push(k, name, reach) { ++depth; kind[depth] = k; label[depth] = name; access[depth] = reach }

# At `{`: 1 if what follows is part of the declaration or a body, to be skipped; then `after` says which.
function opens(s,   t, name) {
    t = squashed(s)
    if (t ~ /(^| )namespace( |$)/) {
        name = t
        sub(/.*namespace */, "", name)
        push(name == "" || name ~ /detail/ ? "hidden" : "namespace", name, "public")
        return 0
    }
    if (t ~ /(^| )enum /) {
        name = t
        sub(/.*enum +(class +|struct +)?/, "", name)
        sub(/[ :].*/, "", name)
        emit(name)
        push("enum", name, "public")
        return 0
    }
    if (t ~ /(^| )(class|struct|union) +[A-Za-z_0-9]+( final)? *($|:[^:])/) {
        name = t
        sub(/ *(final)? *:[^:].*/, "", name)
        sub(/ +final$/, "", name)
        name = last_word(name)
        emit(name)
        if (hide_next || hidden_line) push("hidden", name, "public")
        else push("class", name, t ~ /(^| )class / ? "private" : "public")
        hide_next = 0
        return 0
    }
    sub(/operator[^(]*\(/, "operator(", t)
    after = t ~ /\(/ && t !~ /^[^(]*=/ && t !~ /(^| )concept / ? "body" : "value"
    return 1
}

function ends(s) {
    s = trim(s)
    if (s != "") emit(declared(s))
    if (s != "") hide_next = 0
}

function scan(line,   i, c, s) {
    for (i = 1; i <= length(line); ++i) {
        c = substr(line, i, 1)
        if (skipping) { # braces of a body or of a value
            if (c == "{") ++skipping
            else if (c == "}" && !--skipping && after == "body" && trim(substr(line, i + 1, 1)) != ",") { ends(text); text = "" }
            continue
        }
        if (c == "(") ++round
        else if (c == ")") --round
        if (round) {
            if (c == "{") { skipping = 1; after = "value" }
            else text = text c
            continue
        }
        if (depth && kind[depth] == "enum" && c != "}") {
            if (c == ",") { s = text; sub(/=.*/, "", s); emit(trim(s)); text = "" }
            else text = text c
            continue
        }
        if (c == ";") { ends(text); text = "" }
        else if (c == "{") { if (opens(text)) skipping = 1; else text = "" }
        else if (c == "}") {
            if (kind[depth] == "enum") { s = text; sub(/=.*/, "", s); emit(trim(s)) }
            --depth
            text = ""
        } else if (c == ":" && trim(text) ~ /^(public|private|protected)$/ && substr(line, i + 1, 1) != ":") {
            access[depth] = trim(text)
            hidden_block = 0
            text = ""
        } else text = text c
    }
    text = text " "
}

FNR == 1 {
    header = FILENAME
    sub(/.*\/include\//, "", header)
    depth = round = skipping = hide_next = hidden_block = over = preprocessing = 0
    text = ""
}
over { next }
/\/\/ --- implementation/ { over = 1; next }
preprocessing || /^ *#/ {
    if (/^ *#define +[A-Z_0-9]+\(/ && !/_(CONCAT|CONCAT_2|DEFINE)\(/) {
        name = $0
        sub(/^ *#define +/, "", name)
        sub(/\(.*/, "", name)
        print header "\t\t" name
    }
    preprocessing = /\\$/
    next
}
{
    line = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    gsub(/'[^']*'/, "0", line)
    comment = ""
    if (match(line, /\/\//)) { comment = substr(line, RSTART); line = substr(line, 1, RSTART - 1) }
    alone = line ~ /^[ \t]*$/
    hidden_line = !alone && comment ~ /for the library/
    if (alone && comment ~ /^\/\/\/ For the library/) hide_next = 1
    if (alone && comment ~ /^\/\/ (--- )?[Ff]or /) hidden_block = 1 # "// For the library.", "// For system calls."
    if ($0 ~ /^[ \t]*$/) hidden_block = 0
    scan(line)
}

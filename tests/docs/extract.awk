# Makes tests out of the examples of one page. How a page is written for it is said in README.md.
#
#   awk -v page=docs/guide/01-first-program.md -v source=/ABSOLUTE/PAGE -v id=guide_01_first_program -v out=FOLDER
#       -v have=" eddy::http " -f extract.awk PAGE
#
# Writes OUT/ID_N.cpp for each program and OUT/ID.cpp with the tests; prints the name of each file it wrote. `#line`
# leads the compiler's messages back to the page.

function fail(text) {
    printf "%s:%d: %s\n", page, NR, text > "/dev/stderr"
    failed = 1
    exit 1
}

function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

function forget_notes() {
    given = checks = throws = needs = ""
    skip = only_compile = real_time = 0
}

# A note is a comment of the page: "<!-- KEY: VALUE -->", over several lines if need be. It is for the next block.
function note(text,   key) {
    sub(/^<!-- */, "", text)
    sub(/ *-->[ \t]*$/, "", text)
    key = text
    if (!sub(/:.*/, "", key)) return
    sub(/^[^:]*: */, "", text)
    if (key == "declare") declare(text, note_line)
    else if (key == "given") given = given text "\n"
    else if (key == "check") checks = checks "    CHECK((" text "));\n"
    else if (key == "throws") throws = text
    else if (key == "needs") needs = text
    else if (key == "real time") real_time = 1
    else if (key == "not run") only_compile = 1
    else if (key == "not compiled") skip = 1
    else if (key ~ /^(given|check|throw|declare|need|not|real)/) fail("unknown note `" key "`")
}

# Code for the namespace; its includes go to the top of the file.
function declare(code, line,   n, i, lines, body) {
    n = split(code, lines, "\n")
    for (i = 1; i <= n; i++) {
        if (lines[i] ~ /^#include /) {
            includes = includes lines[i] "\n"
            body = body "\n"
        } else
            body = body lines[i] "\n"
    }
    tests = tests "\n#line " line " " quoted(source) "\n" body
    used = 1
}

function statements(code, line,   body) {
    body = "#line " line " " quoted(source) "\n" code
    if (throws != "")
        body = "    bool thrown = false;\n    try {\n" body "    } catch (const " throws "&) {\n        thrown = true;\n    }\n    CHECK(thrown);\n"
    body = given body checks "    co_return;\n}\n"
    if (only_compile)
        tests = tests "\n[[maybe_unused]] task<> compiled_" line "() {\n" body
    else
        tests = tests "\n#line " line " " quoted(source) (real_time ? "\nEDDY_TEST_REAL(" : "\nEDDY_TEST(") quoted(page ":" line) ") {\n" body
    used = 1
}

function program(code, line,   name) {
    name = id "_" ++program_files
    printf "#line %d %s\n%s", line, quoted(source), code > (out "/" name ".cpp")
    close(out "/" name ".cpp")
    print name
    if (only_compile) return
    program_line = line
    programs[++program_count] = name
    program_lines[program_count] = line
}

# Does the build lack one of the targets that are needed?
function lacking(   names, n) {
    n = split(needs, names, " ")
    while (n > 0 && index(have, " " names[n] " ")) --n
    return n > 0
}

function block(code, line) {
    if (skip || lacking()) {
        # left out
    } else if (code ~ /(^|\n)int main\(/)
        program(code, line)
    else if (declares)
        declare(code, line)
    else
        statements(code, line)
    forget_notes()
}

BEGIN { forget_notes() }

# --- in a fenced block
fence != "" && /^```[ \t]*$/ {
    if (fence == "cpp") block(code, code_line)
    else if (fence == "text" && program_line) { expected[program_count] = code; prints[program_count] = 1 }
    if (fence != "cpp") program_line = 0
    fence = ""
    next
}
fence != "" {
    code = code $0 "\n"
    # A function, a type, a test: it goes into the namespace. Everything else into the body of a coroutine.
    if ($0 ~ /^(struct|class|template|namespace|enum|using|#include|EDDY_TEST)[ (]/) declares = 1
    if ($0 ~ /^[A-Za-z_][A-Za-z_0-9:<>&*, ]* [&*]*[A-Za-z_0-9:]+\([^()]*\)[a-z ]*\{/ && $0 !~ /^(co_await|co_return|else|return) /) declares = 1
    next
}

# --- in a comment
in_note {
    noted = noted "\n" $0
    if (/-->/) { in_note = 0; note(noted) }
    next
}
/^<!-- / {
    note_line = NR
    if (/-->/) note($0)
    else { in_note = 1; noted = $0 }
    next
}

# --- in the text
/^```/ {
    fence = substr($0, 4)
    sub(/[ \t]+$/, "", fence)
    if (fence == "") fence = "plain"
    if (fence == "cpp") program_line = 0
    code = ""
    code_line = NR + 1
    declares = 0
}

END {
    if (failed) exit 1
    if (fence != "") fail("a block is not closed")
    if (!used && !program_count) exit 0
    file = out "/" id ".cpp"
    printf "// Made of %s by tests/docs/extract.awk.\n", page > file
    printf "%s#include \"snippet.hpp\"\n\nnamespace {\nnamespace %s {\n%s\n", includes, id, tests > file
    for (i = 1; i <= program_count; i++) {
        printf "#line %d %s\n", program_lines[i], quoted(source) > file
        printf "TEST_CASE(%s) {\n", quoted(page ":" program_lines[i] " is a program that runs") > file
        printf "    const docs::finished_program p = docs::run_program(\"%s\");\n    CHECK(p.status == 0);\n", programs[i] > file
        if (prints[i]) printf "    CHECK(p.output == R\"docs(%s)docs\");\n", expected[i] > file
        printf "}\n" > file
    }
    printf "\n} // namespace %s\n} // namespace\n", id > file
    close(file)
    print id
}

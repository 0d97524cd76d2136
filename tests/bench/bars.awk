# Bars out of a table of docs/benchmarks.md, as SVG on standard output.
#
#   awk -v section=TITLE -v labels=1,2 -v values=3 -f bars.awk docs/benchmarks.md
#
# Takes the first table under the heading "## TITLE…". A row is a group: a bar for each of the columns `values` that has a
# number there. The dashed line is at 1: ratios are what is worth drawing.

function trim(s) { gsub(/^[ \t]+|[ \t]+$|\*\*|`/, "", s); return s }
function xml(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); return s }

BEGIN {
    FS = "|"
    label_columns = split(labels, label, ",")
    value_columns = split(values, value, ",")
    split("#6b7f99 #d08a3c #5c9a68 #9a6ba8", colour, " ")
    ours = "#2f5fb3"
}
/^## / { inside = index($0, "## " section) == 1 && !done; next }
!inside { next }
!/^\|/ { if (header) { done = 1; inside = 0 } next }
/^\|-/ { next }
!header { header = 1; for (i = 1; i <= value_columns; i++) title[i] = trim($(value[i] + 1)); next }
{
    text = ""
    for (i = 1; i <= label_columns; i++) text = text (i > 1 ? ", " : "") trim($(label[i] + 1))
    group = trim($(label[1] + 1))
    if (n && label_columns > 1 && group != last_group) gap[n + 1] = 1
    last_group = group
    some = 0
    for (i = 1; i <= value_columns; i++) {
        v = trim($(value[i] + 1))
        if (v !~ /^[0-9]/) continue
        if (!some) { ++n; name[n] = text; some = 1; mine[n] = index($0, "**eddy**") > 0 }
        number[n, i] = v + 0
        if (v + 0 > most) most = v + 0
    }
}
END {
    if (!n) { print "bars.awk: no numbers under ## " section > "/dev/stderr"; exit 1 }
    left = 300; room = 380; bar = 13; top = 34
    if (most < 1) most = 1
    y = top
    for (g = 1; g <= n; g++) {
        if (gap[g]) y += 8
        at[g] = y
        for (i = 1; i <= value_columns; i++) if ((g, i) in number) y += bar + 2
        y += 3
    }
    height = y + 10
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"740\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", height
    printf "<rect width=\"740\" height=\"%d\" fill=\"white\"/>\n", height
    x = left
    for (i = 1; i <= value_columns; i++) {
        printf "<rect x=\"%d\" y=\"10\" width=\"10\" height=\"10\" fill=\"%s\"/><text x=\"%d\" y=\"19\">%s</text>\n", x, colour[i], x + 14, xml(title[i])
        x += 30 + 7 * length(title[i])
    }
    for (g = 1; g <= n; g++) {
        y = at[g]
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\"%s>%s</text>\n", left - 8, y + bar - 3, mine[g] ? " font-weight=\"bold\"" : "", xml(name[g])
        for (i = 1; i <= value_columns; i++) {
            if (!((g, i) in number)) continue
            width = number[g, i] / most * room
            printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", left, y, width, bar, mine[g] && value_columns == 1 ? ours : colour[i]
            printf "<text x=\"%.1f\" y=\"%d\">%.2f</text>\n", left + width + 4, y + bar - 3, number[g, i]
            y += bar + 2
        }
    }
    x = left + room / most
    printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"black\" stroke-dasharray=\"3 3\"/>\n</svg>\n", x, top - 6, x, height - 6
}

# SPDX-License-Identifier: Apache-2.0
# The options of params.tbl as the OPTIONS section of tidewatchd(8). Fields between quotes: on an
# entry's first line flag, default, value shown; on its second line the help.
function escape(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    return text
}
BEGIN { FS = "\"" }
/^PARAM\(/ { flag = $2; value = $4; shown = $6; isswitch = /, SWITCH,/; next }
flag != "" {
    printf ".TP\n.B \\-\\-%s", escape(flag)
    if (shown != "") printf " \\fI%s\\fR", escape(shown)
    printf "\n%s\n", escape($2)
    if (value != "" && !isswitch) printf "Default: %s.\n", escape(value)
    flag = ""
}

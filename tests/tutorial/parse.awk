# Reads TUTORIAL.md, patches the reader's folder in memory, and checks all
# that needs no process: captions and badges, hunks, excerpts, the pages, the
# equality of each step, links and anchors, and that every block is of a known
# kind. The rules stand at the head of ./replay.
#
# -v root=DIR   the repository
# -v out=DIR    where to write:
#     snap/N/       the reader's folder at some moment
#     jobs/N.job    what to run between one caption and the next (terminal.c)
#     listings.tsv  listing, snapshot, caption
#     counts        what was seen, in a line
# -v name=NAME  what to call the text in messages
# -v only=N     leave out the jobs of all other steps
# -v until=ID   stop after that listing
#
# Errors go to stdout as "NAME:LINE: what"; the exit status is 1 if there were.

BEGIN {
    # The pictures of things that are no terminal: `text` blocks are known by
    # their first lines, so that nobody hides a transcript in one.
    text_block["GET / HTTP/1.1"] = 1
    text_block["method target version CRLF"] = 1
    text_block["version status reason CRLF"] = 1

    listings_file = out "/listings.tsv"
    printf "" > listings_file
    step = 0
    folder_dirty = 1
    section("", 0)
}

{ sub(/\r$/, "") }

fence != "" && $0 == "```" {
    block(fence)
    fence = ""
    next
}

fence != "" {
    body[++body_lines] = $0
    next
}

/^```[^`]*$/ {
    fence = substr($0, 4)
    fence_line = NR
    body_lines = 0
    if (fence == "")
        fence = "(none)"
    next
}

/^[ \t>]*(```|~~~)/ {
    error(NR, "a block must start at the margin with three backquotes: " $0)
}

/^(    |\t)/ || /<pre/ {
    error(NR, "code that is in no fenced block: " $0)
}

/^#+ / {
    heading()
    next
}

/^\*\*(Listing|Solution)/ {
    caption()
}

/^At this point your folder equals/ {
    equality()
}

/<details/ { details++ }
/<\/details>/ { if (--details < 0) error(NR, "</details> without <details>") }

{ links($0) }

END {
    if (stopped)
        exit failures > 0
    if (fence != "")
        error(fence_line, "this block has no end")
    if (details > 0)
        error(NR, details " <details> without an end")
    finish_listing()
    finish_step()
    if (until != "")
        exit failures > 0
    check_links()
    if (only == "")
        check_all_steps()
    printf "%d listings, %d terminals' blocks, %d commands\n", listings,
        consoles, commands > (out "/counts")
    exit failures > 0
}

function error(line, message)
{
    printf "%s:%d: %s\n", name, line, message
    failures++
}

# An error after which the rest would only be noise.
function give_up(line, message)
{
    error(line, message)
    stopped = 1
    exit 1
}

# ---- headings, captions, steps

function heading(   level, title, words)
{
    level = index($0, " ") - 1
    title = substr($0, level + 2)
    links(title)
    anchors[anchor(title)] = 1
    if (undo && level <= undo_level)
        finish_listing()
    if (level == 2) {
        finish_listing()
        finish_step()
        if (match(title, /^(Step|Part) [0-9]+/)) {
            split(title, words, /[ :]/)
            step = words[2] + 0
            if (words[1] == "Step") {
                step_line = NR
                step_equal = 0
            }
        } else
            step = step == 0 ? 0 : 10
        section("", NR)
    }
    current_level = level
}

function finish_step()
{
    if (step_line && !step_equal)
        error(step_line, "step " step " has no line \"At this point your " \
              "folder equals [`steps/…`](steps/…).\"")
    step_line = 0
}

# **Listing 3-2: Title** · *badge* · *undo it* · [`folder`](folder)
function caption(   rest, id, parts, n, i, badge, wrong)
{
    finish_listing()
    if (!match($0, /^\*\*(Listing|Solution) [0-9]+-[0-9]+[a-z]?: [^*]+\*\*/)) {
        error(NR, "not a caption: **Listing 3-2: What it is** · *badge*")
        return
    }
    id = $0
    sub(/^\*\*Listing /, "", id)
    sub(/^\*\*Solution /, "solution-", id)
    sub(/:.*/, "", id)
    rest = substr($0, RLENGTH + 1)
    n = split(rest, parts, / · /)
    undo = 0
    for (i = 2; i <= n; i++) {
        if (parts[i] == "*undo it*")
            undo = 1
        else if (parts[i] ~ /^\*(does not compile|nothing new to see|try it|goes wrong|compiles with a warning)\*$/) {
            if (badge != "")
                wrong = "two badges: " badge " and " parts[i]
            badge = parts[i]
        } else if (parts[i] !~ /^\[.*\]\(.*\)$/)
            wrong = "an unknown badge: " parts[i]
    }
    if (wrong != "")
        error(NR, "the caption has " wrong)
    else if (badge == "")
        error(NR, "the caption has no badge")
    gsub(/\*/, "", badge)
    if (id in caption_at)
        error(NR, "listing " id " is already in line " caption_at[id])
    caption_at[id] = NR
    listings++
    listing = id
    listing_badge = badge
    listing_title = $0
    listing_consoles = listing_blocks = 0
    if (undo) {
        undo_level = current_level
        for (i in saved)
            delete saved[i]
        for (i in file)
            saved[i] = file[i]
    }
    section(id, NR)
}

# The listing ends: note the folder as it stands, have the badge checked, and
# take back what was to be undone.
function finish_listing(   i)
{
    if (listing != "") {
        i = snapshot()
        printf "%s\t%s\t%s\n", listing, i, listing_title > listings_file
        if (!listing_blocks)
            error(caption_at[listing], "no block follows this caption")
        if (listing_badge ~ /^(try it|goes wrong|does not compile)$/ \
            && !listing_consoles)
            error(caption_at[listing], "the badge says \"" listing_badge \
                  "\", but no console block follows")
        event(caption_at[listing], "sync", i)
        event(caption_at[listing], "badge", listing_badge)
        if (listing == until) {
            stopped = 1
            exit failures > 0
        }
    }
    if (undo) {
        for (i in file)
            delete file[i]
        for (i in saved)
            file[i] = saved[i]
        folder_dirty = 1
    }
    undo = 0
    listing = ""
}

# At this point your folder equals [`steps/03-x`](steps/03-x).
function equality(   folder, names, n, i, other, seen)
{
    if (!match($0, /\(steps\/[^)]*\)/)) {
        error(NR, "which step does the folder equal?")
        return
    }
    folder = substr($0, RSTART + 1, RLENGTH - 2)
    if (step_line && folder !~ ("^steps/0?" step "-"))
        error(NR, "step " step " ends as " folder)
    if (undo)
        error(NR, "listing " listing " is still to be undone here")
    step_equal = 1
    equal_step[folder] = 1
    n = split(list(root "/" folder), names, "\n")
    if (n == 0)
        error(NR, folder " is not there")
    for (i = 1; i <= n; i++) {
        if (names[i] ~ /^server$|\.o$/)
            continue
        seen[names[i]] = 1
        other = slurp(root "/" folder "/" names[i])
        if (!(names[i] in file))
            error(NR, "your folder has no " names[i] ", " folder " has")
        else if (file[names[i]] != other)
            error(NR, "your " names[i] " is not that of " folder ": " \
                  first_difference(other, file[names[i]]))
    }
    for (i in file)
        if (!(i in seen) && i !~ /\.(html|sh)$/ && i !~ /\//)
            error(NR, "your folder has a " i ", " folder " has not")
}

function check_all_steps(   names, n, i)
{
    n = split(list(root "/steps"), names, "\n")
    for (i = 1; i <= n; i++)
        if (!(("steps/" names[i]) in equal_step))
            error(NR, "the text never reaches steps/" names[i])
}

function first_difference(expected, got,   a, b, na, nb, i)
{
    na = split(expected, a, "\n")
    nb = split(got, b, "\n")
    for (i = 1; i <= na && i <= nb && a[i] == b[i]; i++)
        ;
    return "line " i " is\n    " b[i] "\n  instead of\n    " a[i]
}

# ---- blocks

function block(info,   words, n, kind)
{
    n = split(info, words, " ")
    kind = words[1]
    if (words[2] == "excerpt" || words[2] == "example" \
        || words[2] == "declared")
        kind = kind " " words[2]
    if (kind ~ /^(c|html|make|sh) excerpt$/ && n == 3)
        excerpt(words[3])
    else if (kind == "c declared" && n == 3)
        declared(words[3])
    else if (kind == "c example" && n == 3)
        example(words[3])
    else if (kind ~ /^(c|html|make|sh)$/ && n == 2)
        create(words[2])
    else if (kind == "diff" && n == 2)
        patch(words[2])
    else if (info == "console")
        console()
    else if (info == "console server" || info == "console server any-order")
        console_server(n == 3)
    else if (info == "text" && body[1] in text_block)
        ;
    else if (info == "text")
        error(fence_line, "a text block that is not allowed for: " body[1])
    else
        error(fence_line, "an unknown kind of block: " info)
}

function body_text(   i, text)
{
    for (i = 1; i <= body_lines; i++)
        text = text body[i] "\n"
    return text
}

function excerpt(path,   text)
{
    text = slurp(root "/" path)
    if (text == "")
        error(fence_line, "there is no " path)
    else if (index("\n" text, "\n" body_text()) == 0)
        error(fence_line + longest_run("\n" text, body_text()),
              path " does not go on like this")
}

# The first line of lines up to which they are no run of lines in text.
function longest_run(text, lines,   line, n, i, run)
{
    n = split(lines, line, "\n")
    for (i = 1; i < n; i++) {
        run = run line[i] "\n"
        if (index(text, "\n" run) == 0)
            return i
    }
}

function example(path)
{
    if (path !~ /^[a-z]+\/[a-z_0-9]+\.c$/)
        error(fence_line, "an example needs a folder of its own (examples/" \
              path "), for make compiles every *.c beside it into the server")
    file[path] = body_text()
    folder_dirty = 1
    listing_blocks++
    event(fence_line, "sync", snapshot())
    event(fence_line, "example", path)
}

# The compiler will say whether the header declares the same.
function declared(header,   path, function_name)
{
    function_name = body_text()
    sub(/\(.*/, "", function_name)
    sub(/.*[ *]/, "", function_name)
    path = out "/jobs/declared-" fence_line ".c"
    printf "#include <%s>\nvoid *is_known(void) { return (void *)&%s; }\n%s",
        header, function_name, body_text() > path
    close(path)
    event(fence_line, "declared", path)
}

function create(path,   other)
{
    if (path ~ /\//)
        error(fence_line, "a file in another folder: " path)
    file[path] = body_text()
    folder_dirty = 1
    listing_blocks++
    if (path ~ /\.html$/) {
        other = slurp(root "/assets/" path)
        if (other != file[path])
            error(fence_line, path " is not assets/" path ": " \
                  first_difference(other, file[path]))
    }
}

function patch(path,   i, c, before, after, changes, first, only_new, befores)
{
    folder_dirty = 1
    listing_blocks++
    only_new = !(path in file)
    first = 1
    for (i = 1; i <= body_lines + 1; i++) {
        c = substr(body[i], 1, 1)
        if (i > body_lines || body[i] ~ /^@@/) {
            if (changes)
                hunk(path, before, after, fence_line + first)
            else if (i > 1 && before != "")
                error(fence_line + first, "a hunk that changes nothing")
            before = after = ""
            changes = befores = 0
            first = i + 1
        } else if (c == "+") {
            after = after substr(body[i], 2) "\n"
            changes = 1
        } else if (c == "-") {
            before = before substr(body[i], 2) "\n"
            before_line[++befores] = fence_line + i
            changes = 1
        } else if (c == " " || body[i] == "") {
            before = before substr(body[i], 2) "\n"
            before_line[++befores] = fence_line + i
            after = after substr(body[i], 2) "\n"
        } else
            error(fence_line + i, "a diff's line starts with +, - or a " \
                  "space: " body[i])
    }
    if (only_new && !(path in file))
        error(fence_line, "an empty diff for a new file")
}

# Replaces before by after; line is where the hunk starts in the text, and
# before_line[] is where each line of before stands in it.
function hunk(path, before, after, line,   text, at, found, rest, pos)
{
    if (!(path in file)) {
        if (before != "")
            give_up(line, "there is no " path " to change yet")
        file[path] = after
        return
    }
    if (before == "")
        give_up(line, "a hunk needs a line of " path " to hold on to")
    text = "\n" file[path]
    pos = 0
    while (at = index(substr(text, pos + 1), "\n" before)) {
        pos += at
        if (++found == 1)
            rest = pos
    }
    if (found == 0)
        give_up(before_line[longest_run(text, before)],
                "this hunk is not found in " path ", which does not go on " \
                "like this")
    if (found > 1)
        give_up(line, "this hunk is found " found " times in " path)
    text = substr(text, 1, rest) after substr(text, rest + length(before) + 1)
    file[path] = substr(text, 2)
}

# ---- terminals: events for terminal.c, one a line

# From here on the events go to a new job.
function section(id, line)
{
    job++
    job_events = 0
    job_name = id == "" ? "line " line : "listing " id
    job_start = snapshot()
}

function event(line, tag, text,   path)
{
    if (only != "" && only != step)
        return
    path = sprintf("%s/jobs/%03d.job", out, job)
    if (!job_events++) {
        printf "%d\tname\tstep %d, %s\n", line, step, job_name > path
        printf "%d\tsync\t%d\n", line, job_start > path
    }
    printf "%d\t%s\t%s\n", line, tag, text > path
}

function prepare()
{
    listing_consoles++
    consoles++
    # the reader built this some time ago
    if (job_events == 0 && body[1] !~ /(make|cc) ?/)
        event(fence_line, "build", "")
    event(fence_line, "sync", snapshot())
}

# Returns the command that starts in line i of the block, and sets last_i.
function command(i,   text)
{
    text = substr(body[i], 3)
    while (text ~ /\\$/ && i < body_lines)
        text = substr(text, 1, length(text) - 1) body[++i]
    last_i = i
    commands++
    return text
}

function console(   i)
{
    if (body[1] !~ /^\$ /) {
        error(fence_line, "a console block starts with a command: $ …")
        return
    }
    prepare()
    for (i = 1; i <= body_lines; i++)
        if (body[i] ~ /^\$ /) {
            event(fence_line + i, "run", command(i))
            i = last_i
        } else
            event(fence_line + i, "line", body[i])
}

function console_server(any,   i, fresh)
{
    prepare()
    fresh = 1
    for (i = 1; i <= body_lines; i++)
        if (body[i] ~ /^\$ /) {
            event(fence_line + i, "server", command(i))
            i = last_i
            fresh = 1
        } else if (body[i] == "^C") {
            event(fence_line + i, "interrupt", "")
            fresh = 1
        } else {
            if (fresh)
                event(fence_line + i, any ? "more-any" : "more", "")
            fresh = 0
            event(fence_line + i, "line", body[i])
        }
}

# ---- files

function slurp(path,   line, text, status)
{
    while ((status = (getline line < path)) > 0)
        text = text line "\n"
    close(path)
    return text
}

function list(path,   names, line, ls)
{
    ls = "ls '" path "' 2>/dev/null"
    while ((ls | getline line) > 0)
        names = names (names == "" ? "" : "\n") line
    close(ls)
    return names
}

# Writes the folder, if it changed since the last time. Returns its number.
function snapshot(   i, path, folder)
{
    if (!folder_dirty)
        return snapshots
    folder_dirty = 0
    folder = out "/snap/" (++snapshots)
    system("mkdir -p '" folder "'")
    for (i in file) {
        path = folder "/" i
        if (i ~ /\//) {
            sub(/\/[^\/]*$/, "", path)
            system("mkdir -p '" path "'")
            path = folder "/" i
        }
        printf "%s", file[i] > path
        close(path)
    }
    return snapshots
}

# ---- links

# GitHub's rule: lower case, punctuation away, blanks to hyphens, and a number
# for a heading that was there before.
function anchor(title,   s)
{
    s = tolower(title)
    gsub(/\]\([^)]*\)/, "", s)
    gsub(/[]!-,.\/:-@[\\^`{|}~]/, "", s)
    gsub(/—|–|…|→|’|‘|“|”|×|·|✗|✓/, "", s)
    gsub(/ /, "-", s)
    if (s in anchor_count)
        return s "-" anchor_count[s]++
    anchor_count[s] = 1
    return s
}

function links(line,   target, text)
{
    while (match(line, /(id|name)="[^"]*"/)) {
        target = substr(line, RSTART, RLENGTH)
        gsub(/^[^"]*"|"$/, "", target)
        anchors[target] = 1
        line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
    }
    while (match(line, /(src|href|srcset)="[^"]*"/)) {
        target = substr(line, RSTART, RLENGTH)
        gsub(/^[^"]*"|"$/, "", target)
        link[++link_count] = target
        link_line[link_count] = NR
        line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
    }
    gsub(/`[^`]*`/, "code", line)
    while (match(line, /!?\[[^]]*\]\([^)]*\)/)) {
        text = target = substr(line, RSTART, RLENGTH)
        if (text ~ /^!\[\]/)
            error(NR, "a figure without a text that describes it: " text)
        sub(/^!?\[[^]]*\]\(/, "", target)
        sub(/( "[^"]*")?\)$/, "", target)
        link[++link_count] = target
        link_line[link_count] = NR
        # an image may stand inside a link
        line = substr(line, 1, RSTART - 1) "image" substr(line, RSTART + RLENGTH)
    }
}

function check_links(   i, target, hash, path)
{
    for (i = 1; i <= link_count; i++) {
        target = link[i]
        if (target ~ /^(https?|mailto):/)
            continue
        hash = path = target
        if (!sub(/^[^#]*#/, "", hash))
            hash = ""
        sub(/#.*/, "", path)
        if (path != "" && system("test -e '" root "/" path "'") != 0)
            error(link_line[i], "a link to nowhere: " target)
        else if (path == "" && hash != "" && !(hash in anchors))
            error(link_line[i], "no heading has this anchor: #" hash)
        else if (path != "" && hash != "" && !has_anchor(path, hash))
            error(link_line[i], path " has no such anchor: #" hash)
    }
}

function has_anchor(path, hash,   line, found, code)
{
    for (line in anchor_count)
        delete anchor_count[line]
    while ((getline line < (root "/" path)) > 0) {
        if (line ~ /^```/)
            code = !code
        if (!code && line ~ /^#+ /) {
            sub(/^#+ /, "", line)
            if (anchor(line) == hash)
                found = 1
        }
    }
    close(root "/" path)
    return found
}

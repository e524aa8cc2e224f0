import assert from "node:assert/strict";
import process from "node:process";
import { analyzeCommand, mayBegin, parseCommandLine } from "../../../src/shell/command_line.ts";
import { joinWords } from "../../../src/shell/wrappers.ts";
import { scriptOf } from "../../../src/shell_script.ts";
import { test } from "../../_harness.ts";
import { worstCommands } from "./_worst_commands.ts";

const simple: [string, string[][]][] = [
  ["git status", [["git", "status"]]],
  ["/bin/bash -lc 'git status'", [["git", "status"]]],
  [`bash -c "git commit -m 'a b'"`, [["git", "commit", "-m", "a b"]]],
  ["sh -c 'a && b || c; d | e\nf'", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]],
  ["/bin/bash -lc 'bash -lc \"ls -l\"'", [["ls", "-l"]]],
  ["env git status", [["git", "status"]]],
  ["/bin/env git status", [["git", "status"]]],
  ["/usr/bin/env git status", [["git", "status"]]],
  ["echo 'a;b' \"c&&d\" e\\;f", [["echo", "a;b", "c&&d", "e;f"]]],
  ["echo a#b # not && this", [["echo", "a#b"]]],
  ["ls \\\n -l", [["ls", "-l"]]],
  ["[ -f x ] && cat x", [["[", "-f", "x", "]"], ["cat", "x"]]],
  ["echo ''", [["echo", ""]]],
  ["ls *.ts", [["ls", "*.ts"]]],
  [
    String
      .raw`'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe' -NoProfile -Command 'Get-Item x'`,
    [["Get-Item", "x"]],
  ],
];

const notSimple: [string, string[]][] = [
  ["git status $(rm -rf /)", ["rm", "-rf", "/"]],
  ["echo `rm x`", ["rm", "x"]],
  ['echo "$(rm x)"', ["rm", "x"]],
  ['echo "a `rm x` b"', ["rm", "x"]],
  ["echo $(echo $(rm x))", ["rm", "x"]],
  ['echo "${x:-$(rm x)}"', ["rm", "x"]],
  ["diff <(rm x) y", ["rm", "x"]],
  ["(cd a; rm x)", ["rm", "x"]],
  ["{ rm x; }", ["rm", "x"]],
  ["if a; then rm x; fi", ["rm", "x"]],
  ["while a; do rm x; done", ["rm", "x"]],
  ["case x in a) rm x;; esac", ["rm", "x"]],
  ["f() { rm x; }", ["rm", "x"]],
  ["! rm x", ["rm", "x"]],
  ["A=1 rm x", ["rm", "x"]],
  ['$"rm" x', ["rm", "x"]],
  ["env A=1 rm x", ["rm", "x"]],
  ["/tmp/env rm x", ["rm", "x"]],
  ["./env rm x", ["rm", "x"]],
  ["rm x > log", ["rm", "x"]],
  ["rm x 2>&1", ["rm", "x"]],
  ["rm x &> log", ["rm", "x"]],
  ["rm x < in", ["rm", "x"]],
  ["rm x & ls", ["rm", "x"]],
  ["rm x |& ls", ["rm", "x"]],
  ["cat <<EOF\n$(rm x)\nEOF", ["rm", "x"]],
  ["/tmp/bash -c 'rm x'", ["rm", "x"]],
  ["bash --rcfile evil -c 'rm x'", ["rm", "x"]],
  ["BASH -c 'rm x'", ["rm", "x"]],
  ["cmd /c rm x", ["rm", "x"]],
  ["trap 'rm x' EXIT", ["trap", "rm x", "EXIT"]],
  ["export PATH=/evil; rm x", ["rm", "x"]],
  ["printf -v PATH /evil; rm x", ["rm", "x"]],
  ["wait -p PATH; rm x", ["rm", "x"]],
  ["zformat -f PATH /evil; rm x", ["rm", "x"]],
  ["if [[ -f x ]]; then rm x; fi", ["rm", "x"]],
  ["i=$((i+1)); rm x", ["rm", "x"]],
  ["bash -ic 'rm x'", ["rm", "x"]],
  ["echo $HOME", ["echo", "$HOME"]],
  ["fish -c 'rm x'", ["rm", "x"]],
  ["rm x;; ls", ["rm", "x"]],
  ["[ -f 'a$' ]", ["[", "-f", "a$", "]"]],
  ["command export PATH=/evil; rm x", ["rm", "x"]],
  ["coproc rm x", ["coproc", "rm", "x"]],
  ["repeat 3 { rm x }", ["rm", "x"]],
  ["for f in a; do rm x; done", ["for", "f", "in", "a"]],
  ["[[ -f x ]] && ls", ["[[", "-f", "x", "]]"]],
];

const broken = [
  "echo 'a",
  'echo "a',
  "echo `a",
  "echo $(a",
  "echo ${a",
  "(a",
  "a)",
  "cat <<EOF\nno end",
  "cat <<",
  "a \\",
  "a >",
  "a\0b",
  "(".repeat(200),
  "a ".repeat(40_000),
  `echo \${x:-'"'}; rm -rf / #"`,
  "powershell -EncodedCommand abcd",
  "powershell -Com dir",
  // the old arithmetic, which expands inside single quotes
  "true $[ '$(rm x)' ]",
  "true $[1]",
  // arithmetic evaluates text once more, whatever quotes are around it
  "echo $(( '$(rm x)' ))",
  'echo $(( "a" ))',
  "(( 'a[$(rm x)]' ))",
  "for ((i='a[$(rm x)]';;)); do :; done",
  '(( $"1" ))',
  "echo ${x:-'a'}",
  "[[ 'a[$(rm x)]' -eq 1 ]]",
  "[[ x =~ # ]]; rm x\n]]",
  "x='a[$(rm x)]'; echo $((x))",
  "x='a[$(rm x)]'; echo ${y:x}",
  "x='$(rm x)'; echo ${x@P}",
  "x=$'a[\\x24(rm x)]'; (( x ))",
  "x='a[$(rm x)]' bash -c '((x))'",
  "x='a[$(rm x)]' bash -c 'bash -c \"((x))\"'",
  "x='a[$(rm x)]' y='$'; ((x))",
  "x=$'a[$(rm x)]'; ((x))",
  "x='a[$[y]]'; ((x))",
  "x='a[${ rm x; }]'; ((x))",
  "x='a[${|rm x;}]'; ((x))",
  "x=${y:-a[\\$(rm x)]}; ((x))",
  "read x <<'E'\na[$(rm x)]\nE\n((x))",
  "read x <<E\na[\\$(rm x)]\nE\n((x))",
  // commands in two pairs of parentheses, and what is a quote there depends on the shell
  "((ls); ls)",
  "echo $((ls); ls)",
  'cat <<E\n`echo \\"x\\"`\nE',
  // builtins that take the name of a variable, or arithmetic
  "test -v 'a[$(rm x)]'",
  "[ -v 'a[$(rm x)]' ]",
  "[ 'a[$(rm x)]' -eq 1 ]",
  "printf -v 'a[$(rm x)]' x",
  "printf %d 'a[$(rm x)]'",
  "let 'a[$(rm x)]'",
  "read 'a[$(rm x)]'",
  "declare 'a[$(rm x)]=1'",
  "typeset -i a='b[$(rm x)]'",
  "unset 'a[$(rm x)]'",
  "wait -n -p 'a[$(rm x)]'",
  "exit 'a[`rm x`]'",
  "test -v a[\\$\\(rm\\ x\\)]",
  "test -v a[$\\(rm\\ x\\)]",
  "command test -v 'a[$(rm x)]'",
  "ls >&'$(rm x)'",
  'ls >&"<(rm x)"',
  // what zsh takes for a subscript
  "echo $x\\\n['$(rm x)']",
  "echo \"$x\\\n['\"'$(rm x)'",
  "echo $=x['$(rm x)']",
  // a shell that runs what nobody can see
  "echo 'rm keep' | sh",
  "bash -s",
  "sh -",
  "sh /dev/stdin",
  "bash <(echo rm x)",
  ". /dev/stdin",
  ". ../dev/stdin",
  ". ../dev/fd/0",
  ". /dev/tcp/x/80",
  ". /<(echo rm x)",
  ". $x",
  "source <(echo rm x)",
  'bash -c "$x"',
  "bash --unknown x -c 'rm x'",
  "bash -co posix 'rm x'",
  "fish -c 'echo \\'",
  "nu -c '^rm x | y'",
  "env '-Srm keep'",
  "env -vS 'rm keep'",
  "env --split-string='rm keep'",
  // what the shell joins before it reads
  'echo "$\\\n(rm x)"',
  "echo $\\\n(rm x)",
  "cat <\\\n<E\n'\nE\nrm x #'",
  "cat <<EOF\nEO\\\nF\nrm x\nEOF",
  'cat <<"E\\""\nx\nE"',
  "cat <<$x\nx\n$x",
  "echo $(cat <<E)\nrm x\nE",
  // more than anyone reads
  "a;".repeat(1500),
  "``".repeat(30_000),
  "a " + "b ".repeat(3000),
];

/** Each may run `rm keep`; whoever asks whether it may is told so. */
const hidden = [
  "rm keep",
  "true $[ '$(rm keep)' ]",
  "trap 'rm keep' EXIT",
  "bash --rcfile /dev/null -ic 'rm keep'",
  "env '-Srm keep'",
  "env -i rm keep",
  "setarch x86_64 rm keep",
  "jobs -x rm keep",
  "ls -d .(e:'rm keep':)",
  ...("prlimit --nproc=9|pkexec|fakeroot|tini --|dumb-init|unbuffer|torsocks|proxychains|start-stop-daemon -S -x|" +
    "/lib64/ld-linux-x86-64.so.2|docker run x|npm exec|uv run|poetry run|mise x --|direnv exec .|nix-shell --run|" +
    "ssh-agent|aws-vault exec x --|doppler run --|heroku run|lxc exec x --|nvm exec 20|chamber exec x --|infisical run --|" +
    "foreman run|honcho run|pixi run|devbox run|toolbox run|distrobox enter x --|incus exec x --|rvm 3 do|fnm exec|" +
    "multipass exec x --|gcloud compute ssh x --|vagrant ssh -c|ansible x -a|adb shell|wsl|time -f %e|gdb --args|linux32|command|builtin|exec|nice -n 5|stdbuf -oL|gosu root")
    .split("|")
    .map((runner) => `${runner} rm keep`),
  ...["rbash", "yash", "csh", "tcsh", "nu", "zsh", "ksh93", "bash-5.2"].map((shell) =>
    `${shell} -c 'rm keep'`
  ),
  // what only some shells take for a variable
  "1=x rm keep",
  "é=x rm keep",
  "X=rm; $=X keep",
  "X=rm; $~X keep",
  "X=rm; $^X keep",
  "BASH_CMDS[x]=/bin/rm; x keep",
  "BASH_ALIASES[x]='rm keep'; x",
  "functions[x]='rm keep'; x",
  "commands[x]=/bin/rm; x keep",
  "RSYNC_RSH='rm keep' rsync a b:",
  "base64 -d x | sh",
  "alias x='rm keep'; x",
  "hash -p /bin/rm x; x keep",
  "nix-shell --run 'rm keep'",
  "python3 -c 'import os; os.system(\"rm keep\")'",
  "perl -e 'system \"rm keep\"'",
  "awk 'BEGIN { system(\"rm keep\") }'",
  "vim -c '!rm keep'",
  "python3 <<'E'\nos.system('rm keep')\nE",
  "mapfile -C 'rm keep' x",
  "compgen -W '$(rm keep)'",
  "PAGER='rm keep' man ls",
  "GIT_SSH_COMMAND='rm keep' git fetch",
  "export EDITOR='rm keep'; git commit",
  "git -c core.pager='rm keep' log",
  "git -c alias.p='!rm keep' p",
  "git submodule foreach 'rm keep'",
  "git bisect run rm keep",
  "git rebase --exec 'rm keep' x",
  'cat <<E\n$(echo \\"; rm keep; echo \\")\nE',
  'eval "rm \'keep"',
  "declare *",
  "typeset { *",
  "test -v *",
  "let *",
  "printf -v *",
  "printf %d *",
  "printf %s%%%d *",
  "let a?",
  "test -v [ab]",
  "command eval \\`rm keep\\`",
  "command . x",
  "coproc rm keep",
  "{echo,rm} keep",
  "r{m,} keep",
  // a shell that another program starts, and what is read by what starts programs
  ...("nice sh|sudo bash -s|busybox sh|timeout 5 bash|exec sh|(exec bash)|xargs env|xargs sh -c|xargs -0 git|" +
    "xargs -I% sh -c %|xargs -J % sh -c %|xargs --replace=@ sh -c @|parallel|at now|crontab -|python3|node -")
    .split("|").map((program) => `base64 -d x | ${program}`),
  "nice sh -c 'r\"\"m$IFS-rf${IFS}x'",
  "nice bash -c '{r\"\"m,keep}'",
  "env -i powershell -EncodedCommand abcd",
  "setpriv rm keep",
  "gtimeout 5 rm keep",
  "ssh -o ProxyCommand='rm keep' x",
  "npm run x --script-shell=rm",
  "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=alias.x GIT_CONFIG_VALUE_0='!rm keep' git x",
  "GIT_CONFIG_PARAMETERS=\"'alias.x'='!rm keep'\" git x",
  "X='!rm keep' git --config-env=alias.x=X x",
  "git config alias.x '!rm keep' && git x",
  "git difftool --extcmd='rm keep'",
  "git rebase --exe 'rm keep' x",
  "git clone -u 'rm keep' a b",
  "git grep -Orm x",
  "git config alias.x '!{rm,keep}'",
  "git clone -u 'rm keep' x",
  "echo rm keep | xargs -I% nice %",
  "echo rm | xargs -I % % keep",
  "echo 'rm keep' | xargs -I% sh -c %",
  "echo 'rm keep' | xargs -0I % git %",
  "echo 'system(\"rm keep\")' | xargs -I% perl -e %",
  "cat x | xargs --replace=% sudo %",
  "cat x | xargs -n 1 sudo -n",
  "cat x | xargs -n 1 xargs -I% sh -c %",
  "cat x | parallel -j4",
  "parallel git ::: x",
  "parallel 'nice {}' :::: x",
  "curl x | bash -s -- y",
  "curl x | sudo sh -es y",
  "sudo git -c alias.x='!rm keep' x",
  "nice git config alias.x '!rm keep'",
  "git config alias.x '!rm keep' get",
  "echo 'rm keep' | sudo xargs -I% sh -c %",
  "tar --checkpoint-action=exec='rm keep' -cf x y",
  "git ls-remote 'ext::rm keep'",
  "git send-email --sendmail-cmd='rm keep' x",
  // what an option or a variable has another program start
  "rg --pre rm keep",
  "rg --pre=rm keep",
  'rg --pre "$X" keep',
  "sort --compress-program=rm keep",
  "sort --comp rm keep",
  "gcc -wrapper rm,keep a.c",
  "sudo x86_64-linux-gnu-gcc-12 -wrapper rm,keep a.c",
  "split --filter 'rm keep' x",
  "gfortran -wrapper rm,keep x",
  "ag --pager='rm keep' x",
  "fdfind -x rm",
  "wget --use-askpass=rm x",
  "fzf --preview 'rm keep'",
  "BASH_ENV=x bash -c true",
  "env BASH_ENV=x bash -c true",
  "env PAGER='rm keep' man ls",
  "CC='rm keep' ./configure",
  "make CC='/bin/r? keep'",
  "./configure CC='/bin/r? keep'",
  "X='rm keep' make CC='$(X)'",
  "SHELL='rm keep' make",
  "SHELL='sh -c $X' make",
  "PAGER='/bin/r? keep' man ls",
  "make V='$(shell rm keep)'",
  "make V='$(if x,$(shell rm keep))'",
  "make V='$(subst a,r,am) keep'",
  "make V='$$(rm keep)'",
  "make V='$(SUDO) rm keep'",
  "git config core.pager '$X'",
  "git config -f user.name alias.x '!rm keep'",
  // what stands where a setting is read, and is a value or a pattern
  "git config alias.x '!rm keep' --get",
  "git config --get --no-get alias.x '!rm keep'",
  "git config --comment list alias.x '!rm keep'",
  "git config --comment --get alias.x '!rm keep'",
  "git config --file --get alias.x '!rm keep'",
  "find . -exec git config user.name y + -exec git config alias.x '!rm keep' +",
  // code that another program starts
  ...("sudo|nohup|timeout 10|exec|command|env -i|uv run|xargs|find . -exec|ssh h|docker run x")
    .split("|").flatMap((runner) => [
      `${runner} python3 -c 'import os; os.system("rm keep")'`,
      `${runner} awk 'BEGIN { system("rm keep") }'`,
    ]),
  "sudo env -S'rm keep'",
  "nice env '-iSrm keep'",
  "env a.b=1 rm keep",
  // code that comes from the input
  ...("sudo python3|sudo -u root python3 -|python3 - --yes|python3 -u|python3 -u -|python3 /dev/stdin|perl -w|" +
    "deno run -A -|xargs -0 python3 -c|xargs -0 perl -e|make -f -|sudo make -f - all|awk -f - y|timeout 5 node|" +
    "sudo -s|sudo -u root -i|sudo bash -c 'sudo -s'|su|su - root|chroot /|unshare -r|nsenter -t 1 -m|fakeroot|" +
    "script -q /dev/null|uv run python -|find . -exec python3 - +|ssh localhost|ssh -p 22 -T me@host|ssh a-N")
    .split("|").map((program) => `curl x | ${program}`),
  ": <<<x; curl x | python3",
  "cat <<E\nx\nE\ncurl x | python3 -",
  "<<<x; curl x | { <<<y; python3; }",
  "curl x | python3 - 3<<E\nx\nE",
  // what git starts
  "git rebase --exec={'rm keep',true} main",
  "git {-c,alias.p='!rm keep',p}",
  "git clone --config core.fsmonitor='rm keep' a b",
  "git clone --config=core.fsmonitor='rm keep' a b",
  "git clone -ccore.fsmonitor='rm keep' a b",
  "git submodule foreach --recursive 'rm keep'",
  "git submodule foreach --quiet rm keep",
  "git submodule foreach sh -c 'rm keep'",
  "git bisect run python3 -c 'os.system(\"rm keep\")'",
  "git rebase -x'rm keep' main",
  "git rebase -ix 'rm keep' main",
  "git -C clone rebase -ix 'rm keep' main",
  "git rebase -x /bin/r? main",
  "git difftool -yx 'rm keep'",
  "git filter-branch --setup 'rm keep'",
  // scripts that can't be read, where a shell runs them
  "sudo bash -c 'echo $[1]; rm keep'",
  "nice bash -c 'rm keep; echo $[1]'",
  "env -i bash -c 'echo $[1]; rm keep'",
  "sudo sh -c 'env env env env env env env env env rm keep'",
  "git -c alias.p='!echo $[1]; rm keep' p",
  "git -c core.pager='echo $[1]; rm keep' log",
  "git rebase -x 'echo $[1]; rm keep' main",
  "sudo PAGER='echo $[1]; rm keep' git log",
  "PAGER='echo $[1]; rm keep' git log",
  "make CC='echo $[1]; rm keep'",
  "sudo sh -c 'time -p rm keep'",
  "eval 'time -p rm keep'",
  "eval 'time -f %e rm keep'",
  "env env env env env env env env env env rm keep",
  // what only the shell knows, where a program may stand
  ...("sudo|sudo -u root|sudo -n|nohup|timeout 5|timeout $T|exec|command|env A=1|nice -n 5|find . -exec|xargs -0|" +
    "find . -ok|time -p|repeat 3|coproc|! |[[ a ]] &&|mise x --|kubectl exec p --|chroot /x|npx -y|sudo -E|sudo -H|sudo -b|env -i|xargs -r|xargs -t|" +
    "xargs -x|systemd-run -q|fd -x|fd . -X|function f {")
    .split("|")
    .map((place) => `${place} $CMD keep`),
  ...[
    "pipenv run",
    "doppler run --",
    "uv tool run",
    "sudo -S",
    "sudo -A",
    "stdbuf -oL",
    "sudo --user me",
    "gdb --args",
    "nix-shell -p x --run",
    "ssh h",
    "watch -d",
    "tmux new -d",
    "gosu me",
    "su-exec me",
  ]
    .map((place) => `${place} $CMD keep`),
  "su -c $CMD",
  ...['ruby -e "$(curl x)"', "python3 -u -c $CMD", "sudo perl -e `curl x`", 'node -e "${x}" a'],
  "~/ssh h",
  "X=rm; ((ls); $X keep)",
  "X=rm; echo $(($X keep); ls)",
  "cat =($CMD keep)",
  "if [[ a ]] $CMD keep",
  "if true { ls } elif $CMD keep { ls }",
  "case x in a) ls;; esac; $CMD keep",
  "find /bin -name 'r?' -exec sh -c '{} keep' +",
  "ls | xargs -I% sh -c 'cd x; %'",
  "eval 'ls '$'\\nrm keep'",
  // zsh's exec runs builtins
  "exec let 'path[$(rm keep)1]'",
  // a user, a group, a host and a container called like a tool
  ..."sudo -u docker|sudo -g docker|ssh docker|docker exec npm|docker run --rm docker".split("|")
    .map((place) => `${place} rm keep`),
  "case $x in (a|b) $CMD keep;; esac",
  "case x in a) :;; *) rm keep;; esac",
  "if true { ls } elif rm keep; { ls }",
  "{ ls } always { $CMD keep }",
  "a=(rm keep); ${a[@]}",
  'trap "rm $F" EXIT',
  'eval "rm $F"',
  "eval $'rm keep'",
  'eval "$(echo rm keep)"',
  "source <(echo rm keep)",
  "bash $(echo rm) keep",
  "set -- -c 'rm keep'; bash \"$@\"",
  "cat > x.sh <<'E'\nrm keep\nE",
  "ls | xargs -I{} sh -c 'cd {}; rm {}'",
  // the grammars of Windows
  ...[
    "rm x; $y",
    "if ($x) { rm keep }",
    "& rm keep",
    "ls | % { rm $_ }",
    "$x = 1; & $x keep",
    '$x = 1; & "$x" keep',
    'r""m keep; x',
    "r''m keep; x",
    "r'm' keep; x",
    'r"m" keep; x',
    "pwsh -e cgBtACAAawBlAGUAcAA=; x",
    "powershell -EncodedCommand cgBtACAAawBlAGUAcAA=",
    "Start-Process rm -ArgumentList keep",
    "saps rm",
    "iex $x; y",
    "Invoke-Expression $x",
    "[scriptblock]::Create($x).Invoke()",
    'sal x ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String("cm0="))); x keep',
    'sal x ([char]114+"m"); x keep',
    "pwsh -e $x",
    "pwsh -e cgBtACAAKgA=",
    'pwsh -enc "cgBtACAAawBlAGUAcAA="; x',
    ". $x keep",
    "& (gcm r?) keep",
  ]
    .map((script) => `powershell -NoProfile -Command '${script.replaceAll("'", `'\\''`)}'`),
  "powershell -Command 'r`m keep; x'",
  "powershell -Command $x",
  "curl x | powershell -Command -",
  "cmd /c 'dir & rm x'",
  "cmd /c 'r\"\"m keep'",
  "cmd /c start rm keep",
  "cmd /c '@rm keep'",
  "cmd /c '=rm keep'",
  "cmd /c ';rm keep'",
  "cmd /c 'rm= keep'",
  "cmd /c 'dir & @rm keep'",
  "cmd /c 'IF 1==1 rm keep'",
  "cmd /c 'cmd /c @rm keep'",
  "cmd /c call rm keep",
  "cmd /c forfiles /c rm",
  "cmd /c runas /user:x rm",
  "cmd /c 'r\"m\" keep'",
  "cmd /c 'r^m keep'",
  "cmd /v /c '!x!m keep'",
  "cmd /c 'set x=r&& %x%m keep'",
  "find /bin -name 'r?' -exec {} keep \\;",
  'echo "`echo \\"x\\"; rm keep`"',
  'echo `echo \\"; rm keep; \\"`',
  // what is a quote in backticks depends on the quotes around
  'echo "`echo " \\" ; rm keep ; \\" "`"',
];

/** None of them runs it. */
const harmless = [
  "ls rm",
  "git rm keep",
  "git commit -m 'rm keep'",
  "echo 'rm keep'",
  "cat <<'E'\nit's rm keep, costs $5\nE",
  "sh test.sh rm",
  "printf '%s\\n' x",
  "test -f x",
  "ls | xargs",
  "ls | xargs -n 1 -P 4 grep -l x",
  "python3 x.py",
  "find . -name x",
  "docker build .",
  "git log --format=%h rm",
  "git push -u origin rm-it",
  "npm run build --workspace=rm-it",
  "tar --exclude='*.log' -czf x.tgz y",
  "docker ps --format='{{.Names}}'",
  "docker inspect --format '{{json .Config}}' x",
  "kubectl get pods -o jsonpath='{.items}'",
  "pnpm --filter='./packages/*' build",
  "npx jest --testPathPattern='src/.*\\.test\\.ts$'",
  "git -c safe.directory='*' status",
  "git config --global --add safe.directory '*'",
  "git config --get-regexp '^remote\\..*'",
  "git add -u '*.ts'",
  "git clean -dfx '*.ts'",
  "git show HEAD@{1}",
  "git add src/{a,b}.ts",
  "git bisect run sh test.sh",
  "git submodule foreach --recursive 'git pull'",
  "git -c http.extraHeader='Authorization: $T' fetch",
  "git commit -m 'CC=gcc $x'",
  "grep 'CC=$x' Makefile",
  "make CC='$(CROSS)gcc'",
  "sudo apt-get install -y python3 node make",
  "find . -type d -name node",
  "command -v python3",
  "nohup python3 -u server.py",
  "node --version",
  "php -i",
  "perl -e'print 1'",
  "npm run script",
  "npm test -- script",
  "docker run --rm node node x.js",
  "env X=1 python3 - <<'E'\nprint(1)\nE",
  "timeout 10 python3 - <<'E'\nprint(1)\nE",
  "cat x | python3 -c 'import sys; print(sys.stdin.read())'",
  "cat x | sed -e 's/a/b/' -",
  "sudo -n true",
  "sudo -u postgres psql -c 'select 1'",
  "sudo -s ls",
  "su - postgres -c psql",
  "runuser -u x -- ls",
  "chroot /x ls",
  "unshare -r ls",
  "nsenter -t 1 -m -p ls",
  "script -qc 'npm test' /dev/null",
  "env -i cc -S x.c",
  "xargs cp -t .",
  "git clone --recurse-submodules '*'",
  "ls | xargs -I% echo % x",
  "ls | xargs -0 -n 1 -I % git show %",
  "ls | xargs -0",
  "rg --pre-glob '*.pdf' rm keep",
  "sort -k 2 rm keep",
  "gcc -Wall rm.c keep.c",
  "BASH_ENV= bash -c true",
  "ENV=prod make",
  "make SHELL=/bin/bash test",
  "SHELL=/bin/zsh npm test",
  "docker run -e SHELL=/bin/sh x",
  "make CC=gcc CFLAGS='-O2 -Wall'",
  "make SRCS='*.c'",
  "make V='$(git describe)'",
  "make V='${VERSION}'",
  "git config user.name '$USER'",
  "git config set --global user.email '$EMAIL'",
  "git -c user.name='$USER' commit",
  "git config --global --get user.name",
  "git config -f .gitmodules --get-regexp '^sub(a|b)\\.path$'",
  "git config --type=bool --get core.bare",
  "git config --unset core.pager '(a)'",
  "env env env ls",
  'sudo echo "it\'s rm"',
  "cat <<'E'\nit's rm\nE\n",
  // what is filled in where no program stands
  "ls *.ts 2>/dev/null | head",
  'npm test; echo "exit $?"',
  'git diff --name-only | while read -r f; do wc -l "$f"; done',
  'for f in $(ls); do npx prettier --check "$f"; done',
  'for f in *.png; do cp "$f" "${f%.png}.jpg"; done',
  'for ((i=0; i<3; i++)); do echo "$i"; done',
  'x=$(($(date +%s) - y)); echo "$x"',
  'a=(*.ts "$@"); a+=("$f"); echo "${#a[@]}"',
  "echo $(((1+$x)*($y))); (((1+$x)*2))",
  'case "$1" in a|*.ts) echo a ;; (*) echo b ;; esac',
  '[[ "$(uname)" == Darwin && ! -f x ]] && echo mac',
  '[[ $v =~ ^([0-9]+)$ ]] && echo "$v"',
  "if (( $(wc -l < a) > 10 )); then echo big; fi",
  'find "$DIR" -exec ls -l "$X" {} \\;',
  'make -j$(nproc) "$TARGET"',
  'go "$V" x; fd "$P"; pnpm "$S"; yarn "$S"; conda "$V" x; tar "$X"; rsync "$A" "$B"; zip "$Z" x',
  "java $JAVA_OPTS -jar x.jar; dotnet $X",
  'timeout "$T" npm test -- "$f"',
  'docker run --rm -v "$PWD":/app node:20 npm test',
  'docker exec "$C" ls',
  'cargo run -- "$INPUT"',
  'strace -p "$PID"',
  'sudo -E env "PATH=$PATH" npm i -g x',
  'git -c user.name="$N" commit -m "$(cat <<\'E\'\nit\'s `x`\nE\n)"',
  'export A="$HOME/x"; kill $(cat pid)',
  'trap "kill $PID" EXIT',
  // names that say what a tool does
  "docker rm web",
  "podman rm web; nerdctl image rm x; docker container rm x; docker network rm x",
  "nohup npm rm x",
  "docker compose rm -f web",
  "sudo docker volume rm x",
  "cargo rm serde",
  "command -v rm",
  "time npm rm x",
  "git rm x 2>/dev/null",
  // quotes that nothing evaluates, and builtins' names that are none
  "set -e; awk '{ print $1 }' f | grep 'a$'",
  "[ -f x ] && echo 'costs $5'",
  "[ -f *.ts ] && printf '%s %%\\n' *",
  '[ -e "$d"/* ]',
  '[ { = "$c" ] || grep -c ]] $x',
  "[ 'a$' != \"$(uname)\" ] && [ 'a$' != `uname` ]",
  "set -e; git commit -m '``x``'",
  "IFS=$'\\n\\t'; read -r x",
  "go test ./... -run 'TestX$'",
  "npm test -- --grep '^x$'",
  "corepack enable && pnpm i",
  "ssh -T git@github.com",
  "ssh h uptime",
  'ssh "$H" uptime',
  'ssh -i "$K" -o "$O" -p "$P" -F "$F" -J "$J" -L "$L" -D "$D" -W "$W" -S "$S" h uptime',
  'flock "$L" ls; parallel -j "$N" gzip ::: a',
  "parallel git add {} ::: a; ls | parallel git show",
  `node -p "require('$PWD/package.json').version"`,
  'python3 x.py -c "$F"',
  'doppler run --project "$P" -- npm start',
  'uv run --with "$P" python x.py',
  "ssh -fN -L 5432:db:5432 me@bastion",
  "ssh -O exit me@bastion",
  "ssh -G h",
  "ls | xargs -I{} git log -1 --format='%ci {}' -- {}",
  "gcloud logging read 'a=\"b\" AND (c OR d)'",
  'nvm use "$V" && heroku logs -a "$APP"',
  "mapfile -t a < x; alias g=git; g status",
  "source ~/.nvm/nvm.sh && nvm use 20",
  '. "$HOME/.cargo/env"',
  'source "$(dirname "$0")/lib.sh"',
  'for f in *.sh; do bash -n "$f" && bash "$f"; done',
  'echo "`git log -1 --format=\\"%h\\"`" `git log -1 --format=\\"%h\\"`',
  "cat x.sh | bash -n",
  "cat > x.md <<'E'\n# x\n* item\n`code` it's\n[link]($x)\n${x}\nE",
  "cat > x.toml <<'E'\n[package]\nE",
  "cat > x.md <<'E'\nsudo $x\nE",
  "cat > x.md <<'E'\nif a; then\nE\nls rm",
  "make OPTS='*.c'",
  "rg --pre './p*' x",
  "sudo useradd --shell=/bin/bash x",
  "ls | xargs -I{} sh -c 'echo {}'",
  "powershell -Command 'npm test; echo $LASTEXITCODE'",
  "powershell -Command 'Get-Content a -Encoding utf8 | Out-File b -Enc ascii -EA Stop'",
  "powershell -Command 'node -e \"console.log(1)\"; ls -ErrorAction SilentlyContinue'",
  "powershell -Command 'Get-Content x | Select-String \"foo$\"'",
  "powershell -Command 'if (Test-Path x) { Get-ChildItem *.ts | % { $_.Name } }'",
  "powershell -Command \"git commit -m 'Don''t' -m 'a \\\"b\\\"'\"",
  `powershell -Command 'git commit -m "say ""hi"" and it'\\''s \`"x\`""'`,
  "cmd /c 'npm ci && npm test > log 2>&1'",
  "powershell -Command 'npm ci && (npm test); ls *.$x; echo \"a`nb\"'",
  "powershell -Command 'grep -e longpattern x; ssh x@rm; git log rm~1'",
  "cat x | xargs -I{} grep -e {} y",
  "ls *.py | xargs -I{} python3 {}",
  "find . -name test.sh -exec bash {} +",
  "ls | xargs -I{} npm --prefix packages/{} test",
  "xargs -a x -I{} cp {} out/",
];

const words: [line: string, prefix: string[], may: boolean][] = [
  ["bash -c 'env bash -c ls'", ["bash"], true],
  ["bash -c ls", ["bash"], false],
  ["git -C /srv push", ["git", "push"], true],
  ["git --git-dir x push", ["git", "push"], true],
  ["git --exec-path=x push", ["git", "push"], true],
  ["/usr/bin/GIT push", ["git", "push"], true],
  ["/usr/lib/git-core/git-push origin", ["git", "push"], true],
  ["git-push origin", ["git", "push", "origin"], true],
  ["git-pushy origin", ["git", "push"], false],
  ["git -c alias.p=push p", ["git", "push"], true],
  ["git -c alias.p='push -f' p", ["git", "push"], true],
  ["git config alias.p push; git p", ["git", "push"], true],
  ["GIT_CONFIG_KEY_0=alias.p GIT_CONFIG_VALUE_0=push git p", ["git", "push"], true],
  ["env GIT_CONFIG_KEY_0=alias.p GIT_CONFIG_VALUE_0=push git p", ["git", "push"], true],
  ["export GIT_CONFIG_KEY_0=alias.p GIT_CONFIG_VALUE_0=push; git p", ["git", "push"], true],
  ["sudo GIT_CONFIG_KEY_0=alias.p GIT_CONFIG_VALUE_0=push git p", ["git", "push"], true],
  ["env GIT_CONFIG_PARAMETERS=\"'alias.p=push'\" git p", ["git", "push"], true],
  ["find . -exec git config user.name y + -exec git config alias.p push +", ["git", "push"], true],
  ["echo push | xargs git", ["git", "push"], true],
  ["git pu?h", ["git", "push"], true],
  ["a=push; git $a", ["git", "push"], true],
  ["{git,push}", ["git", "push"], true],
  ['python3 -c \'run(["git", "push"])\'', ["git", "push"], true],
  ["git commit -m push", ["git", "push"], false],
  ["git status", ["git", "push"], false],
  ["rm -fr x", ["rm", "-rf"], true],
  ["rm -rfv x", ["rm", "-rf"], true],
  ["rm -r x", ["rm", "-rf"], false],
  ["rm -r -f x", ["rm", "-rf"], true],
  ["rm -r --verbose -f x", ["rm", "-rf"], true],
  ['kubectl -n "$N" get pods', ["kubectl", "delete"], false],
  ["kubectl $X pods", ["kubectl", "delete"], true],
  ["docker --context=$C build .", ["docker", "push"], false],
  ["docker rm x", ["docker", "rm"], true],
  ["git.exe. push", ["git", "push"], true],
  ["git push origin main --force", ["git", "push", "--force"], true],
  ["git push origin main", ["git", "push", "--force"], false],
  ["rm x -r y -f", ["rm", "-rf"], true],
  ["rm x -r", ["rm", "-rf"], false],
  ["python3 x.py -c y", ["python3", "-c"], false],
  ["kubectl delete pod x --force", ["kubectl", "delete", "--force"], true],
  ["find . -name x -delete", ["find", "-delete"], true],
  ["sed s/a/b/ -i x", ["sed", "-i"], true],
  ["powershell -Command 'Start-Process git -ArgumentList push,x'", ["git", "push"], true],
];

test("parseCommandLine() finds every simple command", () => {
  for (const [command, commands] of simple) {
    const line = parseCommandLine(command);
    assert.deepEqual(line.commands, commands, command);
    assert.equal(line.problem, null, command);
    assert.equal(line.simple, true, command);
  }
});

test("parseCommandLine() calls anything with side ways not simple, and still finds the commands in it", () => {
  for (const [command, wanted] of notSimple) {
    const line = parseCommandLine(command);
    assert.equal(line.simple, false, command);
    assert.notEqual(line.problem, null, command);
    assert.ok(
      line.commands.some((words) => JSON.stringify(words) === JSON.stringify(wanted)),
      `${command} → ${JSON.stringify(line.commands)}`,
    );
  }
});

test("parseCommandLine() says that it can't read what has no end, NULs or too much", () => {
  for (const command of broken) {
    const line = parseCommandLine(command);
    assert.equal(line.simple, false, command.slice(0, 40));
    assert.notEqual(line.problem, null, command.slice(0, 40));
  }
});

test("parseCommandLine() tells the words as sent and the script inside the wrapper", () => {
  const line = parseCommandLine("/bin/bash -lc 'git status; ls'");
  assert.deepEqual(line.argv, ["/bin/bash", "-lc", "git status; ls"]);
  assert.equal(line.script, "git status; ls");
  assert.equal(parseCommandLine("git status").script, null);
  assert.equal(parseCommandLine("a | b").argv, null);
});

test("parseCommandLine() gives lists of one's own: the same command is read again as it is", () => {
  const line = "/bin/bash -lc 'git push; ls'";
  for (const _ of ["first", "second"]) {
    const { argv, commands } = parseCommandLine(line);
    assert.deepEqual(argv, ["/bin/bash", "-lc", "git push; ls"]);
    assert.deepEqual(commands, [["git", "push"], ["ls"]]);
    argv?.splice(0);
    commands[0]?.splice(0);
  }
});

test("parseCommandLine() takes the words of a process as they are", () => {
  assert.deepEqual(parseCommandLine(["git", "a;b"]).commands, [["git", "a;b"]]);
  assert.deepEqual(parseCommandLine(["bash", "-lc", "a; b"]).commands, [["a"], ["b"]]);
  assert.equal(parseCommandLine(["bash", "-lc", "a; b"]).script, "a; b");
  assert.equal(parseCommandLine([]).simple, false);
  assert.equal(parseCommandLine("").simple, false);
});

test("what can't be read for certain is broken, in a shell's wrapper too", () => {
  for (const command of broken) {
    const lines = [analyzeCommand(command), analyzeCommand(["/bin/bash", "-lc", command])];
    for (const line of lines) {
      assert.notEqual(line.broken, null, JSON.stringify(command).slice(0, 80));
    }
  }
});

test("mayBegin() finds a command wherever text may become one", () => {
  for (const command of hidden) {
    for (const line of [command, ["/bin/bash", "-lc", command]]) {
      assert.equal(mayBegin(analyzeCommand(line), ["rm"]), true, JSON.stringify(line));
    }
  }
  for (const command of harmless) {
    for (const line of [command, ["/bin/bash", "-lc", command]]) {
      assert.equal(mayBegin(analyzeCommand(line), ["rm"]), false, JSON.stringify(line));
    }
  }
  for (const [line, prefix, may] of words) {
    assert.equal(mayBegin(analyzeCommand(line), prefix), may, `${line} ~ ${prefix.join(" ")}`);
  }
});

test("words that the shell fills in are not literal, quoted ones are", () => {
  const literal = (line: string) =>
    analyzeCommand(line).commands.find(([program]) => program!.text === "cat")![1]!.literal;
  for (
    const word of ["~", "*", "a?", "a*b", "[ab]", "{a,b}", "=ls", "$a", "$=a", "$~a", "$^a", "`a`"]
  ) {
    assert.equal(literal(`cat ${word}`), false, word);
    assert.equal(literal(`cat '${word}'`), true, `'${word}'`);
  }
});

test("analyzeCommand() says when a command may leave its directory", () => {
  for (
    const line of ["cd /x && ls", "(cd x; ls)", "pushd x", "env -C x ls", "$x y", "command cd x"]
  ) {
    assert.equal(analyzeCommand(line).moves, true, line);
  }
  for (const line of ["ls cd", "git status"]) assert.equal(analyzeCommand(line).moves, false, line);
});

/** Of this process, in microseconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

test("a command of 64 KiB costs no more than reading that much JSON two hundred times", () => {
  const json = JSON.stringify(Array.from({ length: 9362 }, (_, i) => `w${i % 900 + 100}`));
  assert.ok(Math.abs(json.length - 65_536) < 10, `${json.length}`);
  // The dearest takes 85 readings on a quiet machine, and more where others work.
  let most = Infinity;
  for (let i = 0; i < 5; i++) {
    const begin = processorTime();
    // All at once: Windows counts the time of a processor by the sixtieth of a second, and one reading takes none.
    for (let n = 0; n < 200; n++) JSON.parse(json);
    most = Math.min(most, processorTime() - begin);
  }
  for (const [name, command] of worstCommands()) {
    let cost = Infinity;
    // Other programs run beside this one: the best of some attempts is what it costs.
    for (let i = 0; i < 40 && cost > most; i++) {
      const line = `${command} #${i}`.slice(0, 65_536);
      const begin = processorTime();
      const analysis = analyzeCommand(line);
      mayBegin(analysis, ["git", "push"]);
      mayBegin(analysis, ["rm"]);
      cost = Math.min(cost, processorTime() - begin);
    }
    assert.ok(cost <= most, `${name}: ${cost}, and two hundred readings ${most}`);
  }
});

test("an env in an env is followed for some levels, and never ends the reading", () => {
  const levels = (count: number) => analyzeCommand(`${"env ".repeat(count)}git push`).broken;
  assert.deepEqual([1, 8, 9, 1_900].map(levels), [
    null,
    null,
    "nested too deeply",
    "nested too deeply",
  ]);
});

test("what is nested so that it would be read very often is read no further", () => {
  for (const [name, command] of worstCommands()) {
    if (!/^eval .*in eval$/.test(name)) continue;
    assert.equal(analyzeCommand(command).broken, "holds too many scripts in scripts", name);
  }
  const once = `bash -lc "sudo sh -c 'true ${"x".repeat(60_000)}'"`;
  assert.equal(analyzeCommand(once).broken, null);
});

test("parseCommandLine() takes as many words as it may, and not one more", () => {
  const words = (count: number) => Array.from({ length: count }, () => "a").join(" ");
  assert.equal(parseCommandLine(words(2_000)).simple, true);
  assert.equal(parseCommandLine(words(2_001)).simple, false);
});

test("a process substitution is text that quotes hide from nothing: it names no descriptor and sets no variable", () => {
  assert.match(analyzeCommand("ls >&<(rm x)").broken ?? "", /descriptor that is no number/);
  assert.notEqual(parseCommandLine("A<(rm x)=1 ls").problem, null);
});

test("what is quoted with $'…' ends where its quote ends", () => {
  assert.equal(analyzeCommand(String.raw`echo $'a b' c`).broken, null);
  assert.equal(analyzeCommand(String.raw`echo $'a\'b' c`).broken, null);
  assert.notEqual(analyzeCommand(String.raw`echo $'a\'`).broken, null);
});

test("shells within shells are followed for eight levels, and no further", () => {
  const nested = (levels: number) => {
    let script = "ls";
    for (let i = 0; i < levels; i++) script = `bash -c '${script.replaceAll("'", `'\\''`)}'`;
    return analyzeCommand(script);
  };
  assert.equal(nested(7).broken, null);
  assert.equal(nested(9).broken, "nested too deeply");
});

test("mayBegin() takes letters of one option for another only when they are the same", () => {
  const may = (line: string) => mayBegin(analyzeCommand(line), ["rm", "-rf"]);
  assert.deepEqual(["rm -rf a", "rm -fr a", "rm -rfv a", "rm -xv a", "ls -rf"].map(may), [
    true,
    true,
    true,
    false,
    false,
  ]);
});

test("scriptOf() takes the shell off a command as codex tells it", () => {
  const scripts: [string, string | null][] = [
    ["/bin/bash -lc 'git status'", "git status"],
    ["/bin/bash -lc ls", "ls"],
    [`bash -c "echo 'a b' \\$HOME \\"x\\""`, `echo 'a b' $HOME "x"`],
    [`/bin/zsh -lc 'it'"'"'s'`, "it's"],
    [String.raw`"C:\\windows\\system32\\cmd.exe" /c 'git status'`, "git status"],
    [
      String.raw`'C:\Program Files\PowerShell\7\pwsh.exe' -NoProfile -Command 'Get-Item x'`,
      "Get-Item x",
    ],
    ["fish -lc ls", "ls"],
    // Whoever is asked reads the whole command where its shell may do something else.
    ["./t/bash -lc 'git status'", null],
    ["/tmp/bash -lc 'git status'", null],
    ["BASH -lc 'git status'", null],
    ["bash --rcfile ./x -ic 'git status'", null],
    ["bash -c 'git status' x", null],
    ["C:/x/cmd.exe /c 'git status'", null],
    ["pwsh -File x -Command 'git status'", null],
    ["git status", null],
    ["bash script.sh", null],
    ["bash -lc 'a' && b", null],
    ['bash -c "$X"', null],
    ["bash -c 'open", null],
    ["", null],
  ];
  for (const [command, script] of scripts) assert.equal(scriptOf(command), script, command);
});

test("analyzeCommand() tells near misses of what it can't read apart", () => {
  const broken = (line: string) => analyzeCommand(line).broken;
  assert.equal(broken("cat <<\\E\n$(x)\nE\n"), null, "a quoted delimiter");
  assert.match(broken("cat <<\\\nE\nx\nE\n")!, /odd delimiter/);
  assert.equal(broken("(if true; then ls; fi)"), null, "only a case has closing parentheses");
  assert.match(broken("echo $x[1] '$(rm x)'")!, /evaluates a text/);
  assert.equal(broken("echo $x '$(rm x)'"), null, "no subscript");
  assert.deepEqual(analyzeCommand("ls;").argv, ["ls"]);
});

test("joinWords() quotes what is literal and not plain, and leaves what the shell fills in", () => {
  const words = [["git", true], ["*.ts", true], ["*.ts", false], ["$X", false], [
    "=ls",
    true,
  ]] as const;
  const line = joinWords(words.map(([text, literal]) => ({ text, literal })));
  assert.equal(line, "git '*.ts' *.ts $X '=ls'");
});

test("a here-document needs its lines, a here-string none", () => {
  assert.equal(analyzeCommand("cat <<E").broken, "unfinished here-document");
  const line = analyzeCommand("cat <<<x; rm y");
  assert.equal(line.broken, null);
  assert.deepEqual(line.commands.map((words) => words.map(({ text }) => text)), [
    ["cat"],
    ["rm", "y"],
  ]);
});

test("no quote of any kind is read inside arithmetic", () => {
  for (const text of ["'2'", '"2"', "\\2"]) {
    assert.equal(analyzeCommand(`echo $((1 + ${text}))`).broken, "quotes inside arithmetic", text);
  }
});

test("= begins a word that is filled in, but not behind empty quotes", () => {
  for (const [word, literal] of [["=ls", false], ["''=ls", true]] as const) {
    assert.equal(analyzeCommand(`cat ${word}`).commands[0]![1]!.literal, literal, word);
  }
});

test("what an alias stands for is a command, and its name is none", () => {
  const found = analyzeCommand("alias abc='rm x'").extras.filter((words) => words.length > 1);
  assert.deepEqual(found.map(joinWords), ["rm x"]);
  assert.ok(found.flat().every(({ literal }) => literal));
});

test("git's own ways to run a script are git's alone", () => {
  const line = "-c alias.p='!rm x' p";
  assert.equal(mayBegin(analyzeCommand(`git ${line}`), ["rm"]), true);
  assert.equal(mayBegin(analyzeCommand(`foo ${line}`), ["rm"]), false);
});

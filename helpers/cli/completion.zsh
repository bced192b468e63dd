#compdef NAME
# Completes NAME and go tool NAME in zsh.

_NAME() {
	local -a command lines
	local from=2 line
	command=("${words[1]}")
	if [[ ${words[1]:t} == go ]]; then
		if [[ ${words[2]} != tool || ${words[3]} != NAME || $CURRENT -lt 4 ]]; then
			${_NAME_go:-_default} "$@"
			return
		fi
		command=("${(@)words[1,3]}") from=4
	fi
	for line in "${(@f)$("${(@)command}" complete -- "${(@)words[from,CURRENT]}" 2>/dev/null)}"; do
		[[ -z $line ]] || lines+=("${line/$'\t'/:}")
	done
	if (( $#lines )); then
		_describe -V NAME lines
	else
		_files
	fi
}

if (( $+functions[compdef] )); then
	[[ ${_comps[go]} == _NAME ]] || typeset -g _NAME_go=${_comps[go]}
	compdef _NAME NAME go
fi

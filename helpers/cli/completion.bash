# Completes NAME and go tool NAME in bash.

_NAME() {
	local command=("${COMP_WORDS[0]}") from=1
	if [[ ${COMP_WORDS[0]##*/} == go ]]; then
		if [[ ${COMP_WORDS[1]} != tool || ${COMP_WORDS[2]} != NAME || $COMP_CWORD -lt 3 ]]; then
			[[ -z $_NAME_go ]] || "$_NAME_go" "$@"
			return
		fi
		command=("${COMP_WORDS[@]:0:3}") from=3
	fi
	local word
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		COMPREPLY+=("$word")
	done < <("${command[@]}" complete -- "${COMP_WORDS[@]:from:COMP_CWORD-from+1}" 2>/dev/null)
}

complete -o bashdefault -o default -F _NAME NAME

# What completes go already goes on with it, if it is a function. Another kind
# is left alone.
case $(complete -p go 2>/dev/null) in
*"-F _NAME "*) ;; # this script was read before
*"-F "*)
	_NAME_go=$(complete -p go) _NAME_go=${_NAME_go##*-F } _NAME_go=${_NAME_go%% *}
	complete -o bashdefault -o default -F _NAME go
	;;
"")
	_NAME_go=
	complete -o bashdefault -o default -F _NAME go
	;;
esac

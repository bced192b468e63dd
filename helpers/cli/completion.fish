# Completes NAME and go tool NAME in fish.

function __NAME_complete --argument-names words_of_command
	set -l words (commandline -opc)
	set -l offers ($words[1..$words_of_command] complete -- $words[(math $words_of_command + 1)..-1] (commandline -ct) 2>/dev/null)
	if test (count $offers) -gt 0
		printf '%s\n' $offers
	else
		__fish_complete_path (commandline -ct)
	end
end

function __NAME_under_go
	set -l words (commandline -opc)
	test (count $words) -ge 3; and test "$words[2] $words[3]" = 'tool NAME'
end

complete -c NAME -f -a '(__NAME_complete 1)'
complete -c go -n __NAME_under_go -f -a '(__NAME_complete 3)'

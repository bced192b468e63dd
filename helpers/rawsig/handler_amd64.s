//go:build linux

#include "textflag.h"

// Offsets of Run and script (handler.go); TestLayout compares them.
#define RUN_seq     0
#define RUN_Sig     8
#define RUN_TID     16
#define RUN_SP      24
#define RUN_Blocked 32
#define RUN_Restore 40
#define RUN_Stack   48
#define RUN_Info    72
#define RUN_Results 200
#define RUN_size    232

#define SCRIPT_ncalls 0
#define SCRIPT_npokes 8
#define SCRIPT_calls  16
#define SCRIPT_pokes  240
#define SCRIPT_size   272

#define MAXRUNS 1024

// Of the kernel's struct ucontext.
#define UC_stack 16
#define UC_mask  296

// The handler: DI is the signal, SI its siginfo, DX its context. It has no g
// and uses no stack. All registers are the kernel's to restore.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVQ SP, R8
	MOVLQSX DI, R13         // the signal
	MOVQ DX, R14            // the context
	MOVQ $1, R9
	LEAQ ·nextRun(SB), AX
	LOCK
	XADDQ R9, (AX)          // index of this run
	CMPQ R9, $MAXRUNS
	JAE  full
	MOVQ R9, R12
	IMULQ $RUN_size, R12
	LEAQ ·runs(SB), AX
	ADDQ AX, R12            // the Run
	INCQ R9
	MOVQ R9, R15            // its seq
	MOVQ R13, RUN_Sig(R12)
	MOVQ R8, RUN_SP(R12)

	LEAQ RUN_Info(R12), DI
	MOVQ $16, CX
	CLD
	REP; MOVSQ
	LEAQ UC_stack(R14), SI
	LEAQ RUN_Stack(R12), DI
	MOVQ $3, CX
	REP; MOVSQ
	MOVQ UC_mask(R14), AX
	MOVQ AX, RUN_Restore(R12)

	MOVQ $186, AX           // gettid
	SYSCALL
	MOVQ AX, RUN_TID(R12)
	MOVQ $14, AX            // rt_sigprocmask(SIG_BLOCK, NULL, &Blocked, 8)
	XORQ DI, DI
	XORQ SI, SI
	LEAQ RUN_Blocked(R12), DX
	MOVQ $8, R10
	SYSCALL

	LEAQ ·scripts(SB), BX
	IMULQ $SCRIPT_size, R13
	ADDQ R13, BX            // the script
	MOVQ SCRIPT_ncalls(BX), R13
	LEAQ SCRIPT_calls(BX), AX
	LEAQ RUN_Results(R12), CX
	MOVQ AX, -8(SP)         // the red zone is ours: nested frames stay below it
	MOVQ CX, -16(SP)

calls:
	TESTQ R13, R13
	JZ   poke
	MOVQ -8(SP), R11
	MOVQ 0(R11), AX
	MOVQ 8(R11), DI
	MOVQ 16(R11), SI
	MOVQ 24(R11), DX
	MOVQ 32(R11), R10
	MOVQ 40(R11), R8
	MOVQ 48(R11), R9
	SYSCALL
	MOVQ -16(SP), CX
	MOVQ AX, (CX)
	ADDQ $8, -16(SP)
	ADDQ $56, -8(SP)
	DECQ R13
	JMP  calls

poke:
	MOVQ SCRIPT_npokes(BX), R13
	LEAQ SCRIPT_pokes(BX), BX

pokes:
	TESTQ R13, R13
	JZ   done
	MOVQ 0(BX), AX
	MOVQ 8(BX), CX
	MOVQ CX, (R14)(AX*1)
	ADDQ $16, BX
	DECQ R13
	JMP  pokes

done:
	MOVQ R15, AX
	XCHGQ AX, RUN_seq(R12)
full:
	PCMPEQL X0, X0
	MOVO X0, X1
	MOVO X0, X2
	MOVO X0, X3
	MOVO X0, X4
	MOVO X0, X5
	MOVO X0, X6
	MOVO X0, X7
	MOVO X0, X8
	MOVO X0, X9
	MOVO X0, X10
	MOVO X0, X11
	MOVO X0, X12
	MOVO X0, X13
	MOVO X0, X14
	MOVO X0, X15
	RET

// The kernel returns from a handler by what sa_restorer points at: rt_sigreturn(2).
TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func HandlerPC() uintptr
TEXT ·HandlerPC(SB), NOSPLIT, $0-8
	LEAQ ·handler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ ·restorer(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func vectorsSurvive(c *Call, forks bool) (changed, result int)
//
// Register n gets the pattern n+1 in each of its 64-bit halves.
TEXT ·vectorsSurvive(SB), NOSPLIT, $0-32
	MOVQ c+0(FP), BX
#define FILL(n, x) \
	MOVQ $(n+1), AX; \
	MOVQ AX, x; \
	PUNPCKLQDQ x, x
	FILL(0, X0)
	FILL(1, X1)
	FILL(2, X2)
	FILL(3, X3)
	FILL(4, X4)
	FILL(5, X5)
	FILL(6, X6)
	FILL(7, X7)
	FILL(8, X8)
	FILL(9, X9)
	FILL(10, X10)
	FILL(11, X11)
	FILL(12, X12)
	FILL(13, X13)
	FILL(14, X14)
	FILL(15, X15)
	MOVQ 0(BX), AX
	MOVQ 8(BX), DI
	MOVQ 16(BX), SI
	MOVQ 24(BX), DX
	MOVQ 32(BX), R10
	MOVQ 40(BX), R8
	MOVQ 48(BX), R9
	SYSCALL
	MOVQ AX, SI
	XORQ DX, DX             // registers that changed
#define TEST(n, x) \
	MOVQ x, AX; \
	PSRLDQ $8, x; \
	MOVQ x, CX; \
	XORQ $(n+1), AX; \
	XORQ $(n+1), CX; \
	ORQ  CX, AX; \
	NEGQ AX; \
	ADCQ $0, DX
	TEST(0, X0)
	TEST(1, X1)
	TEST(2, X2)
	TEST(3, X3)
	TEST(4, X4)
	TEST(5, X5)
	TEST(6, X6)
	TEST(7, X7)
	TEST(8, X8)
	TEST(9, X9)
	TEST(10, X10)
	TEST(11, X11)
	TEST(12, X12)
	TEST(13, X13)
	TEST(14, X14)
	TEST(15, X15)
	PXOR X15, X15           // Go code relies on it
	TESTQ SI, SI
	JNZ  parent
	CMPB forks+8(FP), $0
	JE   parent
	MOVQ DX, DI
	MOVQ $231, AX           // exit_group
	SYSCALL

parent:
	MOVQ DX, changed+16(FP)
	MOVQ SI, result+24(FP)
	RET

// The program of Probe: it makes a Left of itself below its stack pointer and writes it
// to descriptor 1. It must not refer to anything outside itself.
TEXT ·probe(SB), NOSPLIT|NOFRAME, $0
	LEAQ -4096(SP), R12
	MOVQ $14, AX            // rt_sigprocmask(SIG_BLOCK, NULL, &Mask, 8)
	XORQ DI, DI
	XORQ SI, SI
	MOVQ R12, DX
	MOVQ $8, R10
	SYSCALL
	MOVQ $127, AX           // rt_sigpending(&Pending, 8)
	LEAQ 8(R12), DI
	MOVQ $8, SI
	SYSCALL
	MOVQ $131, AX           // sigaltstack(NULL, &Stack)
	XORQ DI, DI
	LEAQ 16(R12), SI
	SYSCALL
	MOVQ $1, R13
	LEAQ (40+32)(R12), R14
actions:
	MOVQ $13, AX            // rt_sigaction(n, NULL, &Actions[n], 8)
	MOVQ R13, DI
	XORQ SI, SI
	MOVQ R14, DX
	MOVQ $8, R10
	SYSCALL
	ADDQ $32, R14
	INCQ R13
	CMPQ R13, $64
	JLS  actions
	MOVQ $1, AX             // write(1, Left, size)
	MOVQ $1, DI
	MOVQ R12, SI
	MOVQ $(40+65*32), DX
	SYSCALL
	MOVQ $231, AX           // exit_group(0)
	XORQ DI, DI
	SYSCALL
	// "end of probe"
	BYTE $'e'; BYTE $'n'; BYTE $'d'; BYTE $' '; BYTE $'o'; BYTE $'f'
	BYTE $' '; BYTE $'p'; BYTE $'r'; BYTE $'o'; BYTE $'b'; BYTE $'e'
	RET

// func probePC() unsafe.Pointer
TEXT ·probePC(SB), NOSPLIT, $0-8
	LEAQ ·probe(SB), AX
	MOVQ AX, ret+0(FP)
	RET

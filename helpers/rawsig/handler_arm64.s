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
#define UC_mask  40

#define SVC_WITH(n) MOVD $n, R8; SVC

// The handler: R0 is the signal, R1 its siginfo, R2 its context. It has no g
// and uses no stack. All registers are the kernel's to restore.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVD RSP, R9
	SXTW R0, R20            // the signal
	MOVD R2, R21            // the context
	MOVD $·nextRun(SB), R10
add:
	LDAXR (R10), R11        // index of this run
	ADD  $1, R11, R12
	STLXR R12, (R10), R13
	CBNZ R13, add
	CMP  $MAXRUNS, R11
	BHS  done
	MOVD R12, R22           // its seq
	MOVD $RUN_size, R13
	MUL  R13, R11, R11
	MOVD $·runs(SB), R19
	ADD  R11, R19           // the Run
	MOVD R20, RUN_Sig(R19)
	MOVD R9, RUN_SP(R19)

	ADD  $RUN_Info, R19, R10
	MOVD $16, R11
info:
	MOVD.P 8(R1), R12
	MOVD.P R12, 8(R10)
	SUBS $1, R11
	BNE  info
	MOVD (UC_stack+0)(R21), R12
	MOVD R12, (RUN_Stack+0)(R19)
	MOVD (UC_stack+8)(R21), R12
	MOVD R12, (RUN_Stack+8)(R19)
	MOVD (UC_stack+16)(R21), R12
	MOVD R12, (RUN_Stack+16)(R19)
	MOVD UC_mask(R21), R12
	MOVD R12, RUN_Restore(R19)

	SVC_WITH(178)           // gettid
	MOVD R0, RUN_TID(R19)
	MOVD $0, R0             // rt_sigprocmask(SIG_BLOCK, NULL, &Blocked, 8)
	MOVD $0, R1
	ADD  $RUN_Blocked, R19, R2
	MOVD $8, R3
	SVC_WITH(135)

	MOVD $·scripts(SB), R23
	MOVD $SCRIPT_size, R13
	MUL  R13, R20, R13
	ADD  R13, R23           // the script
	MOVD SCRIPT_ncalls(R23), R24
	ADD  $SCRIPT_calls, R23, R25
	ADD  $RUN_Results, R19, R26

calls:
	CBZ  R24, poke
	MOVD 8(R25), R0
	MOVD 16(R25), R1
	MOVD 24(R25), R2
	MOVD 32(R25), R3
	MOVD 40(R25), R4
	MOVD 48(R25), R5
	MOVD 0(R25), R8
	SVC
	MOVD.P R0, 8(R26)
	ADD  $56, R25
	SUB  $1, R24
	B    calls

poke:
	MOVD SCRIPT_npokes(R23), R24
	ADD  $SCRIPT_pokes, R23, R25

pokes:
	CBZ  R24, recorded
	MOVD 0(R25), R9
	MOVD 8(R25), R10
	ADD  R21, R9
	MOVD R10, (R9)
	ADD  $16, R25
	SUB  $1, R24
	B    pokes

recorded:
	STLR R22, (R19)
done:
#define CLOBBER(v) VCMEQ v.B16, v.B16, v.B16
	CLOBBER(V0)
	CLOBBER(V1)
	CLOBBER(V2)
	CLOBBER(V3)
	CLOBBER(V4)
	CLOBBER(V5)
	CLOBBER(V6)
	CLOBBER(V7)
	CLOBBER(V8)
	CLOBBER(V9)
	CLOBBER(V10)
	CLOBBER(V11)
	CLOBBER(V12)
	CLOBBER(V13)
	CLOBBER(V14)
	CLOBBER(V15)
	CLOBBER(V16)
	CLOBBER(V17)
	CLOBBER(V18)
	CLOBBER(V19)
	CLOBBER(V20)
	CLOBBER(V21)
	CLOBBER(V22)
	CLOBBER(V23)
	CLOBBER(V24)
	CLOBBER(V25)
	CLOBBER(V26)
	CLOBBER(V27)
	CLOBBER(V28)
	CLOBBER(V29)
	CLOBBER(V30)
	CLOBBER(V31)
	RET

// func HandlerPC() uintptr
TEXT ·HandlerPC(SB), NOSPLIT, $0-8
	MOVD $·handler(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func vectorsSurvive(c *Call, forks bool) (changed, result int)
//
// Register n gets the pattern n+1 in each of its 64-bit halves.
TEXT ·vectorsSurvive(SB), NOSPLIT, $0-32
	MOVD c+0(FP), R20
#define FILL(n, v) MOVD $(n+1), R9; VDUP R9, v.D2
	FILL(0, V0)
	FILL(1, V1)
	FILL(2, V2)
	FILL(3, V3)
	FILL(4, V4)
	FILL(5, V5)
	FILL(6, V6)
	FILL(7, V7)
	FILL(8, V8)
	FILL(9, V9)
	FILL(10, V10)
	FILL(11, V11)
	FILL(12, V12)
	FILL(13, V13)
	FILL(14, V14)
	FILL(15, V15)
	FILL(16, V16)
	FILL(17, V17)
	FILL(18, V18)
	FILL(19, V19)
	FILL(20, V20)
	FILL(21, V21)
	FILL(22, V22)
	FILL(23, V23)
	FILL(24, V24)
	FILL(25, V25)
	FILL(26, V26)
	FILL(27, V27)
	FILL(28, V28)
	FILL(29, V29)
	FILL(30, V30)
	FILL(31, V31)
	MOVD 8(R20), R0
	MOVD 16(R20), R1
	MOVD 24(R20), R2
	MOVD 32(R20), R3
	MOVD 40(R20), R4
	MOVD 48(R20), R5
	MOVD 0(R20), R8
	SVC
	MOVD $0, R12            // registers that changed
#define TEST(n, v) \
	VMOV v.D[0], R9; \
	VMOV v.D[1], R10; \
	EOR  $(n+1), R9; \
	EOR  $(n+1), R10; \
	ORR  R9, R10; \
	CMP  $0, R10; \
	CSINC EQ, R12, R12, R12
	TEST(0, V0)
	TEST(1, V1)
	TEST(2, V2)
	TEST(3, V3)
	TEST(4, V4)
	TEST(5, V5)
	TEST(6, V6)
	TEST(7, V7)
	TEST(8, V8)
	TEST(9, V9)
	TEST(10, V10)
	TEST(11, V11)
	TEST(12, V12)
	TEST(13, V13)
	TEST(14, V14)
	TEST(15, V15)
	TEST(16, V16)
	TEST(17, V17)
	TEST(18, V18)
	TEST(19, V19)
	TEST(20, V20)
	TEST(21, V21)
	TEST(22, V22)
	TEST(23, V23)
	TEST(24, V24)
	TEST(25, V25)
	TEST(26, V26)
	TEST(27, V27)
	TEST(28, V28)
	TEST(29, V29)
	TEST(30, V30)
	TEST(31, V31)
	CBNZ R0, parent
	MOVBU forks+8(FP), R9
	CBZ  R9, parent
	MOVD R12, R0
	SVC_WITH(94)            // exit_group

parent:
	MOVD R12, changed+16(FP)
	MOVD R0, result+24(FP)
	RET

// The program of Probe: it makes a Left of itself below its stack pointer and writes it
// to descriptor 1. It must not refer to anything outside itself.
TEXT ·probe(SB), NOSPLIT|NOFRAME, $0
	MOVD RSP, R20
	SUB  $4096, R20
	MOVD $0, R0             // rt_sigprocmask(SIG_BLOCK, NULL, &Mask, 8)
	MOVD $0, R1
	MOVD R20, R2
	MOVD $8, R3
	SVC_WITH(135)
	ADD  $8, R20, R0        // rt_sigpending(&Pending, 8)
	MOVD $8, R1
	SVC_WITH(136)
	MOVD $0, R0             // sigaltstack(NULL, &Stack)
	ADD  $16, R20, R1
	SVC_WITH(132)
	MOVD $1, R21
	ADD  $(40+32), R20, R22
actions:
	MOVD R21, R0            // rt_sigaction(n, NULL, &Actions[n], 8)
	MOVD $0, R1
	MOVD R22, R2
	MOVD $8, R3
	SVC_WITH(134)
	ADD  $32, R22
	ADD  $1, R21
	CMP  $64, R21
	BLS  actions
	MOVD $1, R0             // write(1, Left, size)
	MOVD R20, R1
	MOVD $(40+65*32), R2
	SVC_WITH(64)
	MOVD $0, R0             // exit_group(0)
	SVC_WITH(94)
	// "end of probe"
	WORD $0x20646e65; WORD $0x7020666f; WORD $0x65626f72
	RET

// func probePC() unsafe.Pointer
TEXT ·probePC(SB), NOSPLIT, $0-8
	MOVD $·probe(SB), R0
	MOVD R0, ret+0(FP)
	RET

package disk

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReserve(t *testing.T) {
	reserve := Reserve{Path: filepath.Join(t.TempDir(), "reserve")}
	const floor = 100 << 20
	for _, c := range []struct {
		free         int64
		given, there bool
	}{
		{lowBytes - 1, false, false},
		{floor + reserveBytes, false, false}, // room enough to go on, not to spare
		{floor + 3*reserveBytes, false, true},
		{floor + 3*reserveBytes, false, true},
		{lowBytes, false, true},
		{lowBytes - 1, true, false},
	} {
		given, err := reserve.Keep(Space{Free: c.free}, floor)
		if given != c.given || err != nil {
			t.Errorf("%d free: given %v, %v", c.free, given, err)
		}
		info, err := os.Stat(reserve.Path)
		if there := err == nil; there != c.there || (there && info.Sys().(*syscall.Stat_t).Blocks*512 < reserveBytes) {
			t.Errorf("%d free: %+v, %v", c.free, info, err)
		}
	}
}

func TestReserveThatCannotBeMadeLeavesNothing(t *testing.T) {
	reserve := Reserve{Path: filepath.Join(t.TempDir(), "reserve")}
	if err := reserve.take(1 << 60); err == nil {
		t.Error("2^60 bytes were there")
	}
	if _, err := os.Stat(reserve.Path); err == nil {
		t.Error("the file is left")
	}
}

func TestMeasure(t *testing.T) {
	space, err := Measure(t.TempDir())
	if err != nil || space.Free <= 0 || space.Total < space.Free {
		t.Errorf("%+v, %v", space, err)
	}
	if _, err := Measure("/nowhere"); err == nil {
		t.Error("/nowhere has a size")
	}
}

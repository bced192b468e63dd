package where

// A memory is what was read of a guest's memory, by page.
type memory struct{ pages map[uint64][]byte }

const pageSize = 4096

// at returns n bytes at an address, fewer where there are no more.
func (m *memory) at(addr uint64, n int) []byte {
	page, offset := addr&^(pageSize-1), addr&(pageSize-1)
	data := m.pages[page]
	if data == nil {
		return nil
	}
	data = data[offset:]
	if len(data) < n {
		if next := m.pages[page+pageSize]; next != nil {
			data = append(data[:len(data):len(data)], next...)
		}
	}
	return data[:min(n, len(data))]
}
